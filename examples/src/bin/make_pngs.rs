//! Writes a few pictures, as food for `real-programs.sh`: `make_pngs FOLDER`.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use examples::png::{Colour, encode};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: make_pngs FOLDER");
        return ExitCode::from(2);
    };
    match write_all(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("make_pngs: {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn write_all(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let write = |name: &str, picture: Vec<u8>| fs::write(folder.join(name), picture);
    // The low byte of a sum or a product: patterns, not brightness.
    let low = |number: u32| number as u8;
    write(
        "gradient.png",
        encode(640, 480, Colour::Rgb, |x, y, c| {
            low([x / 3, y / 2, (x + y) / 5][c])
        }),
    )?;
    write(
        "few-colours.png",
        encode(512, 512, Colour::Rgba, |x, y, c| {
            [0x20, 0x80, 0xd0, 0xff][(c + (x / 32 + y / 32) as usize) % 4]
        }),
    )?;
    write(
        "moire.png",
        encode(400, 400, Colour::Grey, |x, y, _| low(x * x + y * y)),
    )?;
    // A linear congruential generator: nothing for a filter to predict.
    let mut state = 1_u32;
    write(
        "noise.png",
        encode(160, 160, Colour::Rgb, |_, _, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            low(state >> 24)
        }),
    )
}
