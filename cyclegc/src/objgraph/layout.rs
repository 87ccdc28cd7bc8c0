//! Places boxes in layers, so that arrows lead down and cross little.
//!
//! Sugiyama's steps: each box has its layer; arrows over several layers get a bend in
//! each; layers are sorted by the middle of their neighbours, down and up again; then
//! each box moves as near to its neighbours as those beside it allow.

/// What is placed: a box, or the bend of an arrow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) width: f64,
    pub(super) layer: usize,
    /// Its middle, which the layout finds.
    pub(super) x: f64,
}

/// The layout of a drawing.
pub(super) struct Layout {
    /// Boxes first, in the order given, then bends.
    pub(super) items: Vec<Item>,
    /// Of each arrow the items it goes through, from its upper end to its lower one.
    pub(super) ways: Vec<Vec<usize>>,
    pub(super) width: f64,
}

const GAP: f64 = 26.0;
const BEND_WIDTH: f64 = 12.0;
const SWEEPS: usize = 24;

/// Lays out boxes with these widths and layers, and arrows between them.
pub(super) fn layout(boxes: &[(f64, usize)], arrows: &[(usize, usize)]) -> Layout {
    let mut layout = Layout {
        items: boxes
            .iter()
            .map(|(width, layer)| Item {
                width: *width,
                layer: *layer,
                x: 0.0,
            })
            .collect(),
        ways: Vec::new(),
        width: 0.0,
    };
    for (from, to) in arrows {
        let way = layout.bend(*from, *to);
        layout.ways.push(way);
    }
    let neighbours = layout.neighbours();
    let mut layers = layout.layers();
    sort_layers(&mut layers, &neighbours, layout.items.len());
    layout.spread(&layers);
    for sweep in 0..SWEEPS {
        // In the end both sides pull.
        let side = match sweep % 2 {
            _ if sweep + 6 > SWEEPS => Side::Both,
            0 => Side::Above,
            _ => Side::Below,
        };
        layout.pull(&layers, &neighbours, side);
    }
    layout.shift_to_margin();
    layout
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Above,
    Below,
    Both,
}

/// Items above and below each.
struct Neighbours {
    above: Vec<Vec<usize>>,
    below: Vec<Vec<usize>>,
}

impl Neighbours {
    fn of(&self, item: usize, side: Side) -> impl Iterator<Item = usize> + '_ {
        let above = (side != Side::Below).then_some(&self.above[item]);
        let below = (side != Side::Above).then_some(&self.below[item]);
        above.into_iter().chain(below).flatten().copied()
    }
}

impl Layout {
    /// The items that an arrow goes through, with new bends.
    fn bend(&mut self, from: usize, to: usize) -> Vec<usize> {
        let (mut upper, mut lower) = (from, to);
        if self.items[upper].layer > self.items[lower].layer {
            std::mem::swap(&mut upper, &mut lower);
        }
        let mut way = vec![upper];
        for layer in self.items[upper].layer + 1..self.items[lower].layer {
            way.push(self.items.len());
            self.items.push(Item {
                width: BEND_WIDTH,
                layer,
                x: 0.0,
            });
        }
        way.push(lower);
        way
    }

    fn neighbours(&self) -> Neighbours {
        let mut neighbours = Neighbours {
            above: vec![Vec::new(); self.items.len()],
            below: vec![Vec::new(); self.items.len()],
        };
        for pair in self.ways.iter().flat_map(|way| way.windows(2)) {
            if self.items[pair[0]].layer != self.items[pair[1]].layer {
                neighbours.below[pair[0]].push(pair[1]);
                neighbours.above[pair[1]].push(pair[0]);
            }
        }
        neighbours
    }

    fn layers(&self) -> Vec<Vec<usize>> {
        let count = self.items.iter().map(|item| item.layer + 1).max();
        let mut layers = vec![Vec::new(); count.unwrap_or(0)];
        for (index, item) in self.items.iter().enumerate() {
            layers[item.layer].push(index);
        }
        layers
    }

    /// Side by side, without a look at the neighbours.
    fn spread(&mut self, layers: &[Vec<usize>]) {
        for layer in layers {
            let mut x = 0.0;
            for item in layer {
                self.items[*item].x = x + self.items[*item].width / 2.0;
                x += self.items[*item].width + GAP;
            }
        }
    }

    /// Moves each item as near to the middle of its neighbours as the order allows.
    fn pull(&mut self, layers: &[Vec<usize>], neighbours: &Neighbours, side: Side) {
        let order: Vec<usize> = match side {
            Side::Below => (0..layers.len()).rev().collect(),
            Side::Above | Side::Both => (0..layers.len()).collect(),
        };
        for layer in order {
            let wanted = layers[layer].iter().map(|item| {
                let middles: Vec<f64> = neighbours
                    .of(*item, side)
                    .map(|n| self.items[n].x)
                    .collect();
                match middles.len() {
                    0 => (self.items[*item].x, 0.05),
                    count => (middles.iter().sum::<f64>() / to_f64(count), to_f64(count)),
                }
            });
            let wanted: Vec<(f64, f64)> = wanted.collect();
            self.place(&layers[layer], &wanted);
        }
    }

    /// Places a layer's items in order, without overlap, with the least sum of squared
    /// distances from where they are wanted: items that meet become a block, which
    /// takes their common mean.
    fn place(&mut self, layer: &[usize], wanted: &[(f64, f64)]) {
        // Where each would be if the first were at 0 and all were side by side.
        let mut offsets = Vec::with_capacity(layer.len());
        let mut x = 0.0;
        for item in layer {
            let width = self.items[*item].width;
            offsets.push(x + width / 2.0);
            x += width + GAP;
        }
        // Sum of wanted places, sum of weights, items.
        let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
        for ((wanted, weight), offset) in wanted.iter().zip(&offsets) {
            let mut block = ((wanted - offset) * weight, *weight, 1);
            while let Some(before) = blocks.last()
                && before.0 / before.1 > block.0 / block.1
            {
                block = (block.0 + before.0, block.1 + before.1, block.2 + before.2);
                blocks.pop();
            }
            blocks.push(block);
        }
        let mut next = 0;
        for (sum, weight, count) in blocks {
            for _ in 0..count {
                self.items[layer[next]].x = sum / weight + offsets[next];
                next += 1;
            }
        }
    }

    fn shift_to_margin(&mut self) {
        let left = self.items.iter().map(|item| item.x - item.width / 2.0);
        let left = left.fold(f64::INFINITY, f64::min);
        for item in &mut self.items {
            item.x -= left;
        }
        let right = self.items.iter().map(|item| item.x + item.width / 2.0);
        self.width = right.fold(0.0, f64::max);
    }
}

/// Sorts each layer by the mean place of its neighbours, and keeps the best order seen.
fn sort_layers(layers: &mut Vec<Vec<usize>>, neighbours: &Neighbours, count: usize) {
    let mut places = vec![0_usize; count];
    let note = |layer: &[usize], places: &mut [usize]| {
        for (place, item) in layer.iter().enumerate() {
            places[*item] = place;
        }
    };
    for layer in layers.iter() {
        note(layer, &mut places);
    }
    let mut best = (crossings(layers, neighbours, &places), layers.clone());
    for sweep in 0..SWEEPS {
        let side = if sweep % 2 == 0 {
            Side::Above
        } else {
            Side::Below
        };
        let mut order: Vec<usize> = (0..layers.len()).collect();
        if side == Side::Below {
            order.reverse();
        }
        for layer in order {
            let mean = |item: usize| {
                let (mut sum, mut count) = (0, 0);
                for neighbour in neighbours.of(item, side) {
                    sum += places[neighbour];
                    count += 1;
                }
                match count {
                    0 => to_f64(places[item]),
                    _ => to_f64(sum) / to_f64(count),
                }
            };
            let mut keyed: Vec<(f64, usize)> = layers[layer]
                .iter()
                .map(|item| (mean(*item), *item))
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            layers[layer] = keyed.into_iter().map(|(_, item)| item).collect();
            note(&layers[layer], &mut places);
        }
        let now = crossings(layers, neighbours, &places);
        if now < best.0 {
            best = (now, layers.clone());
        }
    }
    *layers = best.1;
}

/// How often arrows cross between layers; 0 if they are too many to count.
fn crossings(layers: &[Vec<usize>], neighbours: &Neighbours, places: &[usize]) -> usize {
    const COUNTED: usize = 400;
    let mut count = 0;
    for layer in layers {
        let ends: Vec<(usize, usize)> = layer
            .iter()
            .flat_map(|item| {
                let below = neighbours.below[*item].iter();
                below.map(|other| (places[*item], places[*other]))
            })
            .collect();
        if ends.len() > COUNTED {
            continue;
        }
        for (index, one) in ends.iter().enumerate() {
            for other in &ends[..index] {
                let is_left = one.0 < other.0;
                count += usize::from(one.0 != other.0 && one.1 != other.1)
                    * usize::from(is_left != (one.1 < other.1));
            }
        }
    }
    count
}

#[allow(clippy::cast_precision_loss, reason = "numbers of boxes")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_do_not_overlap_and_a_tree_is_untangled() {
        let boxes = [
            (60.0, 0),
            (80.0, 0),
            (50.0, 1),
            (70.0, 1),
            (40.0, 2),
            (90.0, 2),
        ];
        // Two paths, given crosswise.
        let arrows = [(0, 3), (1, 2), (3, 4), (2, 5), (0, 4)];
        let layout = layout(&boxes, &arrows);
        for one in 0..boxes.len() {
            for other in 0..one {
                let (a, b) = (layout.items[one], layout.items[other]);
                let apart = (a.x - b.x).abs() >= (a.width + b.width) / 2.0 + GAP - 0.01;
                assert!(a.layer != b.layer || apart, "{one} {other}");
            }
        }
        // The long arrow has a bend, and no arrow crosses another.
        assert_eq!(layout.ways[4].len(), 3);
        let neighbours = layout.neighbours();
        let mut layers = layout.layers();
        let mut places = vec![0; layout.items.len()];
        for layer in &mut layers {
            layer.sort_by(|a, b| layout.items[*a].x.total_cmp(&layout.items[*b].x));
            for (place, item) in layer.iter().enumerate() {
                places[*item] = place;
            }
        }
        assert_eq!(crossings(&layers, &neighbours, &places), 0);
    }

    #[test]
    fn nothing_and_a_loop_are_laid_out() {
        assert_eq!(layout(&[], &[]).items.len(), 0);
        let one = layout(&[(50.0, 0)], &[(0, 0)]);
        assert_eq!(one.width, 50.0);
    }
}
