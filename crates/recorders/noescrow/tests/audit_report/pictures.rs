// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pictures of a secrecy matrix.

use super::{CELL, fetches, is_well_formed, talk};
use data_encoding::HEXLOWER;
use noescrow_audit::{Cell, SecrecyMatrix};

/// The cell of a colour: green is secret, orange exposed, red exposed retroactively.
fn cell_of([red, green, _]: [u8; 3]) -> Cell {
    match (green > red, green > red / 2) {
        (true, _) => Cell::Secret,
        (false, true) => Cell::Exposed,
        (false, false) => Cell::ExposedRetroactively,
    }
}

fn fills(svg: &str) -> Vec<[u8; 3]> {
    let rects = svg.split("<rect ").skip(1).map(|rest| rest.split("fill=\"#").nth(1).unwrap());
    rects.map(|fill| HEXLOWER.decode(&fill.as_bytes()[..6]).unwrap().try_into().unwrap()).collect()
}

/// Width, height, and the colours of the pixels, three bytes each.
fn decoded(png: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((frame.color_type, frame.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    pixels.truncate(frame.buffer_size());
    (frame.width as usize, frame.height as usize, pixels)
}

/// A run's matrix, edited so that it has a cell of each kind.
fn of_all_kinds() -> SecrecyMatrix {
    let mut matrix = talk().matrix();
    assert!(
        matrix.failures_of_forward_secrecy().is_empty()
            && matrix.cells.iter().flatten().any(|cell| *cell == Cell::Exposed)
    );
    matrix.cells[1][0] = Cell::ExposedRetroactively;
    assert_eq!(matrix.messages.len(), 5);
    assert_eq!(matrix.thefts.len(), 4);
    matrix
}

#[test]
fn svg_has_a_rectangle_of_the_right_colour_per_cell() {
    let matrix = of_all_kinds();
    let svg = matrix.to_svg();
    assert!(is_well_formed(&svg) && fetches(&svg).is_none(), "{svg}");
    assert!(svg.contains("from &lt;b&gt;&amp;&quot;"));
    let cells: Vec<Cell> = matrix.cells.iter().flatten().copied().collect();
    // The legend comes after the cells, in the same order.
    let legend = [Cell::Secret, Cell::Exposed, Cell::ExposedRetroactively];
    let drawn: Vec<Cell> = fills(&svg).into_iter().map(cell_of).collect();
    assert_eq!(drawn, [&cells[..], &legend].concat());
    // A line under each message that had been sealed when the theft happened.
    let lines = matrix.messages.iter().map(|row| matrix.thefts.iter().filter(|theft| row.sealed_at < theft.at).count());
    assert_eq!(svg.matches("<path").count(), lines.sum::<usize>());
    // Control: another matrix is another picture.
    let mut other = matrix;
    other.cells[0][1] = Cell::ExposedRetroactively;
    assert_ne!(other.to_svg(), svg);
}

#[test]
fn png_has_a_square_of_the_right_colour_per_cell() {
    let matrix = of_all_kinds();
    let (width, height, pixels) = decoded(&matrix.to_png());
    assert_eq!((width, height), (matrix.thefts.len() * CELL, matrix.messages.len() * CELL));
    assert_eq!(pixels.len(), width * height * 3);
    let colours = fills(&matrix.to_svg());
    for (at, pixel) in pixels.chunks(3).enumerate() {
        let (row, column) = (at / width / CELL, at % width / CELL);
        let colour: [u8; 3] = pixel.try_into().unwrap();
        assert_eq!(cell_of(colour), matrix.cells[row][column], "{row} {column}");
        assert_eq!(colour, colours[row * matrix.thefts.len() + column], "the same colour in both pictures");
    }
    // Control: changing one cell changes its square and no other pixel.
    let mut other = matrix.clone();
    assert_eq!(other.cells[4][3], Cell::Exposed);
    other.cells[4][3] = Cell::Secret;
    let changed = decoded(&other.to_png()).2;
    let differ: Vec<usize> = (0..width * height).filter(|at| changed[at * 3..][..3] != pixels[at * 3..][..3]).collect();
    assert_eq!(differ.len(), CELL * CELL);
    assert!(differ.iter().all(|at| (at / width / CELL, at % width / CELL) == (4, 3)));
}

#[test]
fn empty_matrix_gives_an_empty_picture() {
    let whole = talk().matrix();
    let without = |messages: bool, thefts: bool| {
        let mut matrix = whole.clone();
        if messages {
            matrix.messages.clear();
            matrix.cells.clear();
        }
        if thefts {
            matrix.thefts.clear();
            matrix.cells.iter_mut().for_each(Vec::clear);
        }
        matrix
    };
    for (messages, thefts) in [(true, false), (false, true), (true, true)] {
        let matrix = without(messages, thefts);
        assert!(matrix.to_png().is_empty());
        assert!(is_well_formed(&matrix.to_svg()));
        assert_eq!(fills(&matrix.to_svg()).len(), 3, "the legend");
        assert_eq!(matrix.to_text().lines().count(), matrix.messages.len());
        assert!(matrix.condensed(0, 0).cells.iter().all(Vec::is_empty));
        assert!(is_well_formed(&talk().honest().to_html(&[("A thief", &matrix)])));
    }
    // Control.
    assert!(!without(false, false).to_png().is_empty());
}

/// The text of a picture is as large as a reader needs it, at the width at which it is shown.
#[test]
fn labels_of_a_large_matrix_are_legible_and_within_the_picture() {
    let small = of_all_kinds();
    let mut large = small.clone();
    large.messages = (0..400).map(|_| small.messages[0].clone()).collect();
    large.cells = large.messages.iter().map(|_| small.cells[1].clone()).collect();
    for matrix in [&small, &large] {
        let svg = matrix.to_svg();
        let number = |name: &str, text: &str| -> usize {
            let rest = text.split(&format!("{name}=\"")).nth(1).unwrap();
            rest[..rest.find('"').unwrap()].parse().unwrap()
        };
        let view: Vec<usize> = svg
            .split("viewBox=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .split(' ')
            .map(|n| n.parse().unwrap())
            .collect();
        let shown = number("width", &svg);
        let texts: Vec<&str> = svg.split("<text ").skip(1).collect();
        for text in &texts {
            let font = if text[..text.find('>').unwrap()].contains("font-size") {
                number("font-size", text)
            } else {
                number("font-size", &svg)
            };
            // The longer side of the picture is not much longer than it is wide on the page.
            assert!(font * shown.max(view[3] * shown / view[2]) >= 7 * view[2].max(view[3]), "{font} {view:?}");
            assert!(number("x", text) < view[2] && number("y", text) < view[3], "{text}");
        }
        // Axes, legend, and some of the rows and columns, but not one for each of 400 rows.
        assert!((10..80).contains(&texts.len()), "{}", texts.len());
    }
}
