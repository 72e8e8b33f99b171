//! Where the parts of a graph stand: in columns, each part right of all it
//! follows, `finally` in a frame at the right end. A pipeline in a pipeline is
//! laid out first and then stands like any other part.

use std::collections::VecDeque;

use super::{Body, Part};

/// The width of a character, in pixels: too much for most, so that none
/// leaves its box.
const CHARACTER: usize = 8;
pub(super) const LINE: usize = 18;
pub(super) const PADDING: usize = 12;
const GAP_ACROSS: usize = 56;
const GAP_DOWN: usize = 20;
/// Longer lines are cut off in the drawing.
pub(super) const LONGEST: usize = 40;

/// A rectangle, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// Where the parts of a pipeline stand, from its own corner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) width: usize,
    pub(super) height: usize,
    /// One for each part.
    pub(super) frames: Vec<Frame>,
    /// Where `finally` is framed.
    pub(super) finally: Option<Frame>,
    /// The layouts of the parts that are pipelines.
    pub(super) inside: Vec<Option<Layout>>,
}

impl Layout {
    pub(super) fn of(body: &Body) -> Self {
        let inside: Vec<Option<Self>> =
            body.parts.iter().map(|part| part.inside.as_ref().map(Self::of)).collect();
        let sizes: Vec<(usize, usize)> =
            body.parts.iter().zip(&inside).map(|(part, inside)| size(part, inside.as_ref())).collect();
        let mut layout = Self { frames: vec![Frame::default(); sizes.len()], inside, ..Self::default() };
        let columns = columns(body);
        let tall = columns.iter().map(|column| height(column, &sizes)).max().unwrap_or(0);
        let mut x = 0;
        for column in &columns {
            let wide = layout.stack(column, &sizes, (x, (tall - height(column, &sizes)) / 2));
            x += wide + GAP_ACROSS;
        }
        layout.width = x.saturating_sub(GAP_ACROSS);
        layout.height = tall;
        let finally: Vec<usize> = (body.finally_from..body.parts.len()).collect();
        if !finally.is_empty() {
            let corner = (x + PADDING, PADDING + LINE);
            let wide = layout.stack(&finally, &sizes, corner);
            let (width, height) = (wide + 2 * PADDING, height(&finally, &sizes) + 2 * PADDING + LINE);
            layout.finally = Some(Frame { x, y: 0, width, height });
            layout.width = x + width;
            layout.height = layout.height.max(height);
        }
        layout
    }

    /// Puts parts below each other; gives the width of the widest.
    fn stack(&mut self, parts: &[usize], sizes: &[(usize, usize)], corner: (usize, usize)) -> usize {
        let (x, mut y) = corner;
        let wide = parts.iter().filter_map(|part| sizes.get(*part)).map(|size| size.0).max().unwrap_or(0);
        for part in parts {
            if let (Some((width, height)), Some(frame)) = (sizes.get(*part), self.frames.get_mut(*part)) {
                *frame = Frame { x: x + (wide - width) / 2, y, width: *width, height: *height };
                y += height + GAP_DOWN;
            }
        }
        wide
    }
}

fn height(parts: &[usize], sizes: &[(usize, usize)]) -> usize {
    let heights: usize = parts.iter().filter_map(|part| sizes.get(*part)).map(|size| size.1 + GAP_DOWN).sum();
    heights.saturating_sub(GAP_DOWN)
}

fn size(part: &Part, inside: Option<&Layout>) -> (usize, usize) {
    let lines = std::iter::once(&part.label).chain(&part.notes);
    let longest = lines.map(|line| line.chars().count().min(LONGEST)).max().unwrap_or(0);
    let text = (longest * CHARACTER, (1 + part.notes.len()) * LINE);
    let (width, height) = match inside {
        None => text,
        Some(inside) => (text.0.max(inside.width), text.1 + PADDING + inside.height),
    };
    (width + 2 * PADDING, height + 2 * PADDING)
}

/// The parts in columns, those of `finally` left out: each is right of all it
/// follows, and beside them as far as there is room.
fn columns(body: &Body) -> Vec<Vec<usize>> {
    let count = body.finally_from.min(body.parts.len());
    let mut later = vec![Vec::new(); count];
    let mut earlier = vec![Vec::new(); count];
    for edge in body.sound_edges() {
        later.get_mut(edge.from).into_iter().for_each(|list| list.push(edge.to));
        earlier.get_mut(edge.to).into_iter().for_each(|list| list.push(edge.from));
    }
    let mut open: Vec<usize> = earlier.iter().map(Vec::len).collect();
    let mut column = vec![0_usize; count];
    let mut ready: VecDeque<usize> = (0..count).filter(|part| open.get(*part) == Some(&0)).collect();
    while let Some(part) = ready.pop_front() {
        let own = column.get(part).copied().unwrap_or(0);
        for next in later.get(part).into_iter().flatten() {
            if let (Some(open), Some(column)) = (open.get_mut(*next), column.get_mut(*next)) {
                *column = (*column).max(own + 1);
                *open -= 1;
                if *open == 0 {
                    ready.push_back(*next);
                }
            }
        }
    }
    let last = column.iter().max().copied().unwrap_or(0);
    let mut columns: Vec<Vec<usize>> = vec![Vec::new(); if count == 0 { 0 } else { last + 1 }];
    for (part, own) in column.iter().enumerate() {
        columns.get_mut(*own).into_iter().for_each(|list| list.push(part));
    }
    // Each where those it follows are: at the mean of their places.
    let mut place = vec![0_usize; count];
    for list in &mut columns {
        list.sort_by_key(|part| {
            let before = earlier.get(*part).map(Vec::as_slice).unwrap_or_default();
            let places: usize = before.iter().filter_map(|before| place.get(*before)).sum();
            (1024 * places).checked_div(before.len()).unwrap_or(1024 * *part)
        });
        for (index, part) in list.iter().enumerate() {
            place.get_mut(*part).into_iter().for_each(|place| *place = index);
        }
    }
    columns
}
