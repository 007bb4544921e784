//! What was measured: a table for people, `report.json` for the tests, and the list of goals that were missed.

use crate::measure::{Times, median, sorted};
use serde_json::{Value, json};
use std::fmt::Write as _;

#[derive(Clone, Copy)]
pub enum Goal {
    None,
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn met(self, ratio: f64) -> Option<bool> {
        match self {
            Goal::None => None,
            Goal::AtMost(bound) => Some(ratio <= bound),
            Goal::AtLeast(bound) => Some(ratio >= bound),
        }
    }

    fn words(self) -> String {
        match self {
            Goal::None => String::new(),
            Goal::AtMost(bound) => format!("at most {bound}"),
            Goal::AtLeast(bound) => format!("at least {bound}"),
        }
    }
}

pub struct Row {
    name: String,
    unit: &'static str,
    figures: Vec<f64>,
    against: Option<Against>,
}

struct Against {
    name: String,
    median: f64,
    ratio: f64,
    goal: Goal,
}

#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// A row without anything beside it.
    pub fn note(&mut self, name: &str, unit: &'static str, figures: &[f64]) {
        self.push(Row { name: name.into(), unit, figures: figures.into(), against: None });
    }

    /// A lane beside another of the same race, and how much longer it takes.
    pub fn compare(&mut self, name: &str, times: &Times, ours: &str, other: &str, goal: Goal) {
        self.add(name, "us", times.of(ours), other, times.of(other), |ours, other| ours / other, goal);
    }

    /// `ratio` is formed from the figures of one round.
    #[allow(clippy::too_many_arguments, reason = "the columns of the table")]
    pub fn add(
        &mut self,
        name: &str,
        unit: &'static str,
        figures: &[f64],
        other: &str,
        others: &[f64],
        ratio: fn(f64, f64) -> f64,
        goal: Goal,
    ) {
        let ratios: Vec<f64> = figures.iter().zip(others).map(|(one, other)| ratio(*one, *other)).collect();
        let against = Against { name: other.into(), median: median(others), ratio: median(&ratios), goal };
        self.push(Row { name: name.into(), unit, figures: figures.into(), against: Some(against) });
    }

    /// Shown at once: the next rows can take minutes.
    fn push(&mut self, row: Row) {
        print!("{}{}", if self.rows.is_empty() { HEAD } else { "" }, row.line());
        self.rows.push(row);
    }

    pub fn missed(&self) -> Vec<String> {
        let missed = |row: &&Row| row.met() == Some(false);
        self.rows.iter().filter(missed).map(Row::words).collect()
    }

    pub fn json(&self) -> Value {
        self.rows.iter().map(Row::json).collect()
    }

    pub fn table(&self) -> String {
        let mut table = String::from(HEAD);
        for row in &self.rows {
            table.push_str(&row.line());
        }
        table
    }
}

const HEAD: &str = "\
| row | median | min..max | beside | its median | ratio | goal | met |
|---|---:|---:|---|---:|---:|---:|---|
";

impl Row {
    fn met(&self) -> Option<bool> {
        self.against.as_ref().and_then(|against| against.goal.met(against.ratio))
    }

    fn words(&self) -> String {
        let Some(against) = &self.against else { return self.name.clone() };
        format!("{}: {:.2} x {}, goal {}", self.name, against.ratio, against.name, against.goal.words())
    }

    fn ends(&self) -> (f64, f64) {
        let figures = sorted(&self.figures);
        (figures[0], figures[figures.len() - 1])
    }

    fn line(&self) -> String {
        let ((min, max), unit) = (self.ends(), self.unit);
        let middle = median(&self.figures);
        let mut line = format!("| {} | {} {unit} | {}..{} |", self.name, short(middle), short(min), short(max));
        match &self.against {
            None => line.push_str(" | | | | |"),
            Some(Against { name, median, ratio, goal }) => {
                let met = self.met().map_or("", |met| if met { "yes" } else { "**no**" });
                let other = short(*median);
                write!(line, " {name} | {other} {unit} | {ratio:.3} | {} | {met} |", goal.words()).unwrap();
            }
        }
        line + "\n"
    }

    fn json(&self) -> Value {
        let (min, max) = self.ends();
        let against = self.against.as_ref();
        let beside = against.map(|against| json!({"name": against.name, "median": against.median}));
        let goal = against.map(|against| against.goal.words()).filter(|goal| !goal.is_empty());
        json!({
            "row": self.name, "unit": self.unit, "median": median(&self.figures), "min": min, "max": max,
            "rounds": self.figures.len(), "beside": beside,
            "ratio": against.map(|against| against.ratio), "goal": goal, "met": self.met(),
        })
    }
}

/// Three digits that count.
pub fn short(figure: f64) -> String {
    match figure {
        figure if figure >= 100.0 => format!("{figure:.0}"),
        figure if figure >= 10.0 => format!("{figure:.1}"),
        figure if figure >= 1.0 => format!("{figure:.2}"),
        figure => format!("{figure:.3}"),
    }
}
