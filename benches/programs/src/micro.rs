//! One operation, again and again, in one thread.

use std::alloc::{self, Layout};
use std::hint::black_box;
use std::ptr::NonNull;

use benches::random::Random;
use benches::report::{Clock, Report, Scale, fold};

/// The box of most rows: 40 bytes.
type Forty = [u64; 5];

/// A 40-byte box is made and freed at once.
#[must_use]
pub fn pair(scale: Scale) -> Report {
    let count = scale.of(120_000_000);
    let clock = Clock::start();
    let mut sum = 1;
    for n in 0..count as u64 {
        let block: Box<Forty> = black_box(Box::new([n; 5]));
        sum = fold(sum, block[4]);
    }
    clock.stop(count, sum)
}

/// 1000 boxes are made, then freed in the order of their birth.
#[must_use]
pub fn batch(scale: Scale) -> Report {
    const BATCH: usize = 1000;
    let rounds = scale.of(80_000);
    let mut boxes: Vec<Box<Forty>> = Vec::with_capacity(BATCH);
    let clock = Clock::start();
    let mut sum = 1;
    for round in 0..rounds as u64 {
        boxes.extend((0..BATCH as u64).map(|n| Box::new([round ^ n; 5])));
        for block in black_box(&mut boxes).drain(..) {
            sum = fold(sum, block[4]);
        }
    }
    clock.stop(rounds * BATCH, sum)
}

/// 1000 slots; a random one is replaced by a block of 16 to 512 bytes.
#[must_use]
pub fn churn(scale: Scale) -> Report {
    let count = scale.of(40_000_000);
    let mut random = Random::new();
    let mut slots: Vec<Vec<u8>> = vec![Vec::new(); 1000];
    let clock = Clock::start();
    let mut sum = 1;
    for _ in 0..count {
        let slot = random.below(1000);
        let mut block = Vec::with_capacity(16 + random.below(497));
        block.push(slot as u8);
        let dead = std::mem::replace(&mut slots[slot], black_box(block));
        sum = fold(sum, dead.first().copied().unwrap_or(0).into());
    }
    clock.stop(count, sum)
}

/// 10 MB of blocks of 16 to 512 bytes are alive; a random one is replaced.
#[must_use]
pub fn live_10_mb(scale: Scale) -> Report {
    live(scale.of(8_000_000), 10_000_000)
}

/// 1 GB of blocks of 16 to 512 bytes are alive; a random one is replaced.
#[must_use]
pub fn live_1_gb(scale: Scale) -> Report {
    live(scale.of(4_000_000), 1_000_000_000)
}

fn live(count: usize, bytes: usize) -> Report {
    let mut random = Random::new();
    let block = |random: &mut Random, n: usize| {
        let mut block: Vec<u8> = Vec::with_capacity(16 + random.below(497));
        block.push(n as u8);
        block
    };
    let mean = usize::midpoint(16, 512);
    let mut slots: Vec<_> = (0..bytes / mean).map(|n| block(&mut random, n)).collect();
    let clock = Clock::start();
    let mut sum = 1;
    for n in 0..count {
        let slot = random.below(slots.len());
        let new = black_box(block(&mut random, n));
        let dead = std::mem::replace(&mut slots[slot], new);
        sum = fold(sum, dead[0].into());
    }
    clock.stop(count, sum)
}

/// Zeroed blocks of 64 bytes to 32 KiB, of which the ends are read and soiled.
#[must_use]
pub fn zeroed(scale: Scale) -> Report {
    let count = scale.of(2_000_000);
    let mut random = Random::new();
    let mut slots: Vec<Vec<u8>> = vec![Vec::new(); 64];
    let clock = Clock::start();
    let mut sum = 1;
    for n in 0..count {
        let size = 64 << random.below(10);
        let mut block = black_box(vec![0_u8; size]);
        sum = fold(
            sum,
            u64::from(block[0]) + u64::from(block[size - 1]) + size as u64,
        );
        block[0] = 0xa5;
        block[size - 1] = 0xa5;
        slots[n % 64] = black_box(block);
    }
    clock.stop(count, sum)
}

/// 4096 numbers are pushed into an empty `Vec`.
#[must_use]
pub fn vecgrow(scale: Scale) -> Report {
    let count = scale.of(100_000);
    let clock = Clock::start();
    let mut sum = 1;
    for n in 0..count as u64 {
        let mut numbers = Vec::new();
        for number in 0..4096 {
            numbers.push(number ^ n);
        }
        sum = fold(sum, black_box(&numbers)[4095]);
    }
    clock.stop(count, sum)
}

/// Capacity doubles from 64 KiB to 64 MiB; a byte is written for each.
#[must_use]
pub fn biggrow(scale: Scale) -> Report {
    let count = scale.of(60);
    let clock = Clock::start();
    let mut sum = 1;
    for n in 0..count {
        let mut bytes: Vec<u8> = Vec::with_capacity(64 << 10);
        while bytes.capacity() < 64 << 20 {
            bytes.push(n as u8);
            let more = 2 * bytes.capacity() - bytes.len();
            bytes.reserve_exact(more);
            bytes = black_box(bytes);
        }
        sum = bytes
            .iter()
            .fold(sum, |sum, byte| fold(sum, (*byte).into()));
    }
    clock.stop(count, sum)
}

/// Blocks aligned to 16 bytes up to 4 KiB, through the allocator's own interface.
///
/// # Panics
/// If memory runs out, or an address is not aligned.
#[must_use]
pub fn aligned(scale: Scale) -> Report {
    let count = scale.of(6_000_000);
    let mut random = Random::new();
    let mut slots: Vec<Option<Aligned>> = Vec::new();
    slots.resize_with(256, || None);
    let clock = Clock::start();
    let mut sum = 1;
    for n in 0..count {
        let align = 16 << random.below(9);
        let size = align.min(512) + random.below(512);
        let block = Aligned::new(Layout::from_size_align(size, align).expect("small"));
        assert!(block.at.addr().get().is_multiple_of(align));
        sum = fold(sum, size as u64);
        slots[n % 256] = black_box(Some(block));
    }
    clock.stop(count, sum)
}

/// An owned block of any alignment.
struct Aligned {
    at: NonNull<u8>,
    layout: Layout,
}

impl Aligned {
    fn new(layout: Layout) -> Self {
        // SAFETY: no layout of `aligned` is empty.
        let at = unsafe { alloc::alloc(layout) };
        let at = NonNull::new(at).expect("a small block");
        // SAFETY: the block has at least one byte, and is ours.
        unsafe { at.write(1) };
        Self { at, layout }
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: `new` got it with this layout.
        unsafe { alloc::dealloc(self.at.as_ptr(), self.layout) };
    }
}
