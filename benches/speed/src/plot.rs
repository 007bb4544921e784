//! The picture: microseconds a cycle by the session's size, for ours, the floor and the peers, in two panels with one scale.

use crate::report::short;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

/// One line: its figures by size, fewer where a size is impossible.
pub struct Series {
    pub name: &'static str,
    pub look: Look,
    pub figures: Vec<f64>,
}

#[derive(Clone, Copy)]
pub enum Look {
    Ours,
    Floor,
    Peer,
}

impl Look {
    /// Okabe and Ito's colours, which colour-blind people can tell apart.
    fn colour(self) -> RGBColor {
        match self {
            Look::Ours => RGBColor(0, 114, 178),
            Look::Floor => RGBColor(110, 110, 110),
            Look::Peer => RGBColor(213, 94, 0),
        }
    }

    fn width(self) -> u32 {
        if matches!(self, Look::Ours) { 4 } else { 2 }
    }
}

pub struct Panel {
    pub title: String,
    pub series: Vec<Series>,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SIZE: (u32, u32) = (900, 520);
const FONT: &str = "Helvetica, Arial, sans-serif";
const INK: RGBColor = RGBColor(34, 34, 34);
/// Left of 94 B, and right of 16 KB for the names of the lines.
const MARGINS: (f64, f64) = (0.2, 1.4);
const BOUNDS: (f64, f64) = (0.025, 250.0);

pub fn draw(path: &Path, sizes: &[&str], panels: &[Panel]) -> Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let heading = (FONT, 26).into_font().style(FontStyle::Bold).color(&INK);
    root.draw(&Text::new("One request on a session, in microseconds: lower is better", (20, 14), heading))?;
    let words =
        "Opened by its token, 3 keys read, 1 set, committed. Every line of the grid is ten times the one below it.";
    root.draw(&Text::new(words, (20, 46), (FONT, 17).into_font().color(&INK)))?;
    let (_, below) = root.split_vertically(76);
    for (area, panel) in below.split_evenly((1, panels.len())).iter().zip(panels) {
        draw_panel(area, sizes, panel)?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel(area: &DrawingArea<SVGBackend<'_>, Shift>, sizes: &[&str], panel: &Panel) -> Result<()> {
    let last = (sizes.len() - 1) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, (FONT, 20).into_font().style(FontStyle::Bold).color(&INK))
        .margin(8)
        .x_label_area_size(52)
        .y_label_area_size(60)
        .build_cartesian_2d(-MARGINS.0..last + MARGINS.1, (BOUNDS.0..BOUNDS.1).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(222, 222, 222))
        .axis_style(TRANSPARENT)
        .y_label_formatter(&|figure| format!("{figure} \u{b5}s"))
        .y_labels(5)
        .label_style((FONT, 16).into_font().color(&INK))
        .draw()?;
    let centred = |size: u32| (FONT, size).into_font().color(&INK).pos(Pos::new(HPos::Center, VPos::Top));
    // The area's own corner is not at (0, 0): mapped points are the picture's.
    let (left, top) = area.get_base_pixel();
    let at = |(x, y): (i32, i32), down: i32| (x - left, y - top + down);
    for (index, size) in sizes.iter().enumerate() {
        area.draw(&Text::new(
            *size,
            at(chart.plotting_area().map_coordinate(&(index as f64, BOUNDS.0)), 6),
            centred(17),
        ))?;
    }
    let middle = chart.plotting_area().map_coordinate(&(last / 2.0, BOUNDS.0));
    area.draw(&Text::new("size of the session as JSON", at(middle, 28), centred(16)))?;
    let mut labels = Vec::new();
    for series in &panel.series {
        let points: Vec<(f64, f64)> = series.figures.iter().enumerate().map(|(at, y)| (at as f64, *y)).collect();
        let (colour, width) = (series.look.colour(), series.look.width());
        chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(width)))?;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 2 + width, colour.filled())))?;
        labels.push((*points.last().expect("a series has figures"), series));
    }
    // Names at the ends of the lines, moved apart where they would touch; above the end of a line that stops early.
    labels.sort_by(|((_, one), _), ((_, other), _)| other.total_cmp(one));
    let mut free = i32::MIN;
    for (point, series) in labels {
        let (x, y) = at(chart.plotting_area().map_coordinate(&point), 0);
        let whole = point.0 == last;
        let (x, y, side) = if whole { (x + 12, y.max(free), HPos::Left) } else { (x + 4, y - 16, HPos::Right) };
        if whole {
            free = y + 19;
        }
        let bold = if matches!(series.look, Look::Ours) { FontStyle::Bold } else { FontStyle::Normal };
        let font = (FONT, 17).into_font().style(bold);
        let style = font.color(&series.look.colour()).pos(Pos::new(side, VPos::Center));
        area.draw(&Text::new(format!("{} {}", series.name, short(point.1)), (x, y), style))?;
    }
    Ok(())
}
