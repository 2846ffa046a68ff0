//! What was measured, and its medians.

/// A table of measurements: rows are operations, columns what they were done with.
#[derive(Debug)]
pub struct Table {
    /// Its heading.
    pub title: &'static str,
    /// What a reader has to know.
    pub note: &'static str,
    /// The columns' headings; one that is empty everywhere is not shown.
    columns: &'static [&'static str],
    /// A heading, the column divided and the column that it is divided by.
    ratios: &'static [(&'static str, usize, usize)],
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    operation: String,
    /// By column.
    samples: Vec<Vec<f64>>,
}

// === impl Table ===

impl Table {
    /// An empty table.
    pub fn new(
        title: &'static str,
        note: &'static str,
        columns: &'static [&'static str],
        ratios: &'static [(&'static str, usize, usize)],
    ) -> Self {
        Self { title, note, columns, ratios, rows: Vec::new() }
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a measurement.
    pub fn record(&mut self, operation: &str, column: usize, value: f64) {
        let at = self.rows.iter().position(|row| row.operation == operation);
        let at = at.unwrap_or_else(|| {
            let samples = vec![Vec::new(); self.columns.len()];
            self.rows.push(Row { operation: operation.to_owned(), samples });
            self.rows.len() - 1
        });
        if let Some(samples) = self.rows.get_mut(at).and_then(|row| row.samples.get_mut(column)) {
            samples.push(value);
        }
    }

    /// Operations with the ratio of two columns' medians.
    pub fn ratios(&self, column: usize, by: usize) -> Vec<(&str, f64)> {
        let ratio = |row: &Row| Some(row.median(column)? / row.median(by)?);
        let rows = self.rows.iter();
        rows.filter_map(|row| Some((row.operation.as_str(), ratio(row)?))).collect()
    }

    /// The table as text: first the headings, then the rows.
    pub fn cells(&self) -> Vec<Vec<String>> {
        let used = |column: &usize| self.rows.iter().any(|row| row.median(*column).is_some());
        let columns: Vec<usize> = (0..self.columns.len()).filter(used).collect();
        let of_used = |(_, one, other): &&(&str, usize, usize)| used(one) && used(other);
        let ratios: Vec<_> = self.ratios.iter().filter(of_used).collect();
        let headings = columns.iter().filter_map(|column| self.columns.get(*column)).copied();
        let headings = headings.chain(ratios.iter().map(|ratio| ratio.0));
        let mut cells =
            vec![["operation"].into_iter().chain(headings).map(str::to_owned).collect()];
        for row in &self.rows {
            let mut line = vec![row.operation.clone()];
            line.extend(columns.iter().map(|column| number(row.median(*column))));
            line.extend(ratios.iter().map(|(_, one, other)| {
                let ratio = row.median(*one).zip(row.median(*other)).map(|(one, by)| one / by);
                ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
            }));
            cells.push(line);
        }
        cells
    }
}

// === impl Row ===

impl Row {
    fn median(&self, column: usize) -> Option<f64> {
        median(self.samples.get(column)?)
    }
}

/// The middle one, or the middle of the middle two.
fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.len().checked_sub(1)? / 2, sorted.len() / 2);
    Some((sorted.get(low)? + sorted.get(high)?) / 2.0)
}

/// As many digits as mean something.
fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn empty_columns_are_left_out() {
        let mut table = Table::new("t", "", &["a", "b", "c"], &[("b/a", 1, 0), ("c/b", 2, 1)]);
        table.record("start", 0, 10.0);
        table.record("start", 1, 25.0);
        table.record("stop", 1, 123.4);
        let expected = [
            vec!["operation", "a", "b", "b/a"],
            vec!["start", "10.0", "25.0", "2.50"],
            vec!["stop", "–", "123", "–"],
        ];
        assert_eq!(table.cells(), expected);
        assert_eq!(table.ratios(1, 0), [("start", 2.5)]);
    }
}
