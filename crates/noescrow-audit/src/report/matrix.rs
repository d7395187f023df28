// SPDX-License-Identifier: MIT OR Apache-2.0
//! The secrecy matrix as text, SVG and PNG.

use super::text::{escape, short};
use crate::secrecy_matrix::{Cell, SecrecyMatrix};
use std::fmt::Write as _;

/// Pixels of a cell of the matrix.
const CELL: usize = 12;
/// Pixels of the width at which a picture is shown: half a page.
const SHOWN: usize = 480;
/// Characters of a name in a label.
const NAME: usize = 8;
/// Colours of a cell: secret, exposed, exposed retroactively.
const COLOURS: [[u8; 3]; 3] = [[0xD7, 0xEA, 0xDB], [0xF0, 0xA8, 0x5D], [0xB0, 0x20, 0x2E]];

/// The measures of a picture. Its text must be legible at the size at which the picture is shown, whatever number of
/// cells it has: `unit` is a pixel of the picture as it is shown.
struct Sheet {
    unit: usize,
    left: usize,
    top: usize,
    rows: usize,
    columns: usize,
}

impl Sheet {
    fn of(rows: usize, columns: usize) -> Self {
        let unit = rows.max(columns).saturating_mul(CELL).div_ceil(SHOWN).max(1);
        let margin = unit.saturating_mul(100);
        Self { unit, left: margin, top: margin, rows, columns }
    }

    /// The length of so many cells.
    const fn side(&self, count: usize) -> usize {
        count.saturating_mul(CELL)
    }

    /// The longest line of the legend fits.
    fn width(&self) -> usize {
        self.left.saturating_add(self.side(self.columns)).max(self.unit.saturating_mul(360))
    }

    fn height(&self) -> usize {
        self.top.saturating_add(self.side(self.rows)).saturating_add(self.unit.saturating_mul(90))
    }
}

/// The rows or columns that are named: each so far from the next that both can be read.
fn ticks(count: usize, length: usize, font: usize) -> impl Iterator<Item = usize> {
    let most = length.checked_div(font.saturating_mul(2)).unwrap_or(1).max(1);
    (0..count).step_by(count.div_ceil(most).max(1))
}

/// The meaning of the colours and of the grey line, a line for each.
fn legend(svg: &mut String, sheet: &Sheet) {
    let Sheet { unit, top, rows, .. } = *sheet;
    let side = unit.saturating_mul(11);
    let mut y = top.saturating_add(sheet.side(rows)).saturating_add(unit.saturating_mul(10));
    let mut entry = |svg: &mut String, sign: &dyn Fn(usize) -> String, text: &str| {
        let (x, base) = (unit.saturating_mul(20), y.saturating_add(unit.saturating_mul(10)));
        let _ = writeln!(svg, "{}<text x=\"{x}\" y=\"{base}\">{text}</text>", sign(y));
        y = y.saturating_add(unit.saturating_mul(18));
    };
    let texts = ["secret", "exposed", "exposed although it was over before the theft"];
    for (text, colour) in texts.iter().zip(COLOURS) {
        let fill = hex(colour);
        let square = |y| format!("<rect x=\"{unit}\" y=\"{y}\" width=\"{side}\" height=\"{side}\" fill=\"{fill}\"/>");
        entry(svg, &square, text);
    }
    let line = |y: usize| {
        let (end, y) = (unit.saturating_add(side), y.saturating_add(side / 2));
        format!("<line x1=\"{unit}\" y1=\"{y}\" x2=\"{end}\" y2=\"{y}\" stroke=\"#555\" stroke-width=\"{unit}\"/>")
    };
    entry(svg, &line, "grey line: sent before the theft");
}

impl Cell {
    const fn colour(self) -> [u8; 3] {
        let [secret, exposed, retroactively] = COLOURS;
        match self {
            Self::Secret => secret,
            Self::Exposed => exposed,
            Self::ExposedRetroactively => retroactively,
        }
    }

    const fn character(self) -> char {
        match self {
            Self::Secret => '.',
            Self::Exposed => 'o',
            Self::ExposedRetroactively => 'X',
        }
    }
}

fn hex(colour: [u8; 3]) -> String {
    let [r, g, b] = colour;
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// `items` in at most `most` groups of one length.
fn groups<T>(items: &[T], most: usize) -> core::slice::Chunks<'_, T> {
    items.chunks(items.len().div_ceil(most.max(1)).max(1))
}

impl SecrecyMatrix {
    /// The matrix with at most so many rows and columns. If it has more, each row or column stands for several adjacent
    /// ones, has the name of the first, and shows the worst of their cells.
    #[must_use]
    pub fn condensed(&self, rows: usize, columns: usize) -> Self {
        let worst_row = |rows: &[Vec<Cell>]| -> Vec<Cell> {
            let width = rows.iter().map(Vec::len).max().unwrap_or_default();
            let column = |at| rows.iter().filter_map(|row| row.get(at)).copied().max().unwrap_or(Cell::Secret);
            let cells: Vec<Cell> = (0..width).map(column).collect();
            groups(&cells, columns).filter_map(|cells| cells.iter().copied().max()).collect()
        };
        Self {
            messages: groups(&self.messages, rows).filter_map(|messages| messages.first().cloned()).collect(),
            thefts: groups(&self.thefts, columns).filter_map(|thefts| thefts.first().cloned()).collect(),
            cells: groups(&self.cells, rows).map(worst_row).collect(),
            traces: self.traces.clone(),
        }
    }

    /// The matrix for a terminal: a line for each message, a character for each theft. `.` is secret, `o` exposed, `X`
    /// exposed although it was over before the theft.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (message, cells) in self.messages.iter().zip(&self.cells) {
            let cells: String = cells.iter().map(|cell| cell.character()).collect();
            let _ = writeln!(text, "{:>10} {:<8} {cells}", message.sealed_at, short(&message.sender, 8));
        }
        text
    }

    /// The matrix as a picture: a row for each message from the top, a column for each theft from the left. Green is
    /// secret, orange exposed, red exposed although it was over before the theft. A grey line under a cell says that
    /// the message had been sent before the theft. Axes, some rows and columns, and the colours are named.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let (columns, rows) = (self.thefts.len(), self.messages.len());
        let sheet = Sheet::of(rows, columns);
        let Sheet { unit, left, top, .. } = sheet;
        let (width, height) = (sheet.width(), sheet.height());
        // As a picture of its own it is as large as on a page.
        let shown = height.saturating_mul(SHOWN).checked_div(width).unwrap_or(SHOWN);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{SHOWN}\" \
             height=\"{shown}\" font-family=\"sans-serif\" font-size=\"{}\">\n\
             <title>Exposure after device theft: {rows} messages (rows) × {columns} thefts (columns)</title>\n\
             <text x=\"{left}\" y=\"{}\">thefts of a device's memory, earliest first</text>\n\
             <text x=\"{y0}\" y=\"{x0}\" transform=\"rotate(-90 {y0} {x0})\">messages, first sent at the top</text>\n",
            unit.saturating_mul(12),
            unit.saturating_mul(14),
            y0 = unit.saturating_mul(14),
            x0 = top.saturating_add(sheet.side(rows)),
        );
        self.label(&mut svg, &sheet);
        for (row, (message, cells)) in self.messages.iter().zip(&self.cells).enumerate() {
            let y = top.saturating_add(sheet.side(row));
            for (column, (cell, theft)) in cells.iter().zip(&self.thefts).enumerate() {
                let x = left.saturating_add(sheet.side(column));
                let inner = CELL.saturating_sub(1);
                let fill = hex(cell.colour());
                let _ =
                    writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{inner}\" height=\"{inner}\" fill=\"{fill}\"/>");
                if message.sealed_at < theft.at {
                    let end = x.saturating_add(inner);
                    let line = y.saturating_add(inner);
                    let _ = writeln!(svg, "<path d=\"M{x} {line}H{end}\" stroke=\"#555\" stroke-width=\"1\"/>");
                }
            }
        }
        legend(&mut svg, &sheet);
        svg.push_str("</svg>\n");
        svg
    }

    /// Names some rows and columns: as many as can be read.
    fn label(&self, svg: &mut String, sheet: &Sheet) {
        let Sheet { unit, left, top, rows, columns } = *sheet;
        let font = unit.saturating_mul(10);
        for row in ticks(rows, sheet.side(rows), font) {
            let Some(message) = self.messages.get(row) else { continue };
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" font-size=\"{font}\" text-anchor=\"end\">{} from {}</text>",
                left.saturating_sub(unit.saturating_mul(4)),
                top.saturating_add(sheet.side(row)).saturating_add(CELL),
                row.saturating_add(1),
                escape(&short(&message.sender, NAME))
            );
        }
        for column in ticks(columns, sheet.side(columns), font) {
            let Some(theft) = self.thefts.get(column) else { continue };
            let (x, y) = (
                left.saturating_add(sheet.side(column)).saturating_add(CELL),
                top.saturating_sub(unit.saturating_mul(4)),
            );
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" transform=\"rotate(-90 {x} {y})\" font-size=\"{font}\">{} from {}</text>",
                column.saturating_add(1),
                escape(&short(&theft.device, NAME))
            );
        }
    }

    /// The cells as a PNG, twelve pixels each: a row for each message, a column for each theft. Empty if there is no
    /// cell.
    #[must_use]
    pub fn to_png(&self) -> Vec<u8> {
        let pixels = |count: usize| u32::try_from(count.saturating_mul(CELL)).unwrap_or(u32::MAX);
        let (width, height) = (pixels(self.thefts.len()), pixels(self.messages.len()));
        let row = |cells: &Vec<Cell>| -> Vec<u8> {
            let line: Vec<u8> = cells.iter().flat_map(|cell| [cell.colour(); CELL]).flatten().collect();
            line.repeat(CELL)
        };
        let data: Vec<u8> = self.cells.iter().flat_map(row).collect();
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&data));
        // Writing to memory fails only for an image without pixels.
        match written {
            Ok(()) => out,
            Err(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrecy_matrix::{MatrixRow, Theft};

    /// A matrix of `size` messages and `size` thefts. Each theft exposes one message; one message is exposed
    /// retroactively.
    fn matrix(size: u32, failure: (usize, usize)) -> SecrecyMatrix {
        let row = |sealed_at| MatrixRow { sender: "Alice".into(), sealed_at, opened_at: None };
        let theft = |at| Theft { device: "Bob".into(), at, memory: 0 };
        let mut cells: Vec<Vec<Cell>> = (0..size)
            .map(|row| (0..size).map(|theft| if row == theft { Cell::Exposed } else { Cell::Secret }).collect())
            .collect();
        cells[failure.0][failure.1] = Cell::ExposedRetroactively;
        let (messages, thefts) = ((0..size).map(row).collect(), (0..size).map(theft).collect());
        SecrecyMatrix { messages, thefts, cells, traces: Vec::new() }
    }

    #[test]
    fn condensed_matrix_has_the_requested_size_and_hides_no_failure() {
        for (row, theft) in [(0, 0), (99, 0), (50, 3), (99, 99)] {
            let whole = matrix(100, (row, theft));
            for (rows, columns) in [(7, 13), (100, 100), (1, 1), (0, 0), (1_000, 40)] {
                let small = whole.condensed(rows, columns);
                assert!(small.messages.len() <= rows.max(1) && small.thefts.len() <= columns.max(1));
                assert_eq!(small.cells.len(), small.messages.len());
                assert!(small.cells.iter().all(|cells| cells.len() == small.thefts.len()));
                assert_eq!(small.failures_of_forward_secrecy().len(), 1, "{row} {theft} {rows} {columns}");
            }
        }
        let whole = matrix(20, (3, 1));
        assert_eq!(whole.condensed(20, 20), whole);
    }

    #[test]
    fn text_has_one_character_per_cell() {
        let text = matrix(3, (2, 0)).to_text();
        let cells: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(cells, ["o..", ".o.", "X.o"]);
    }
}
