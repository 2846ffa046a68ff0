//! What was measured, its medians, and how far they may be trusted.

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
    /// The heading of a column that is only divided by.
    pub const UNSEEN: &'static str = "";

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

    /// Adds another table's measurements of the same operations, from this column on.
    pub fn add_columns(&mut self, other: &Self, first: usize) {
        for row in &mut self.rows {
            let same = other.rows.iter().find(|other| other.operation == row.operation);
            let theirs = same.into_iter().flat_map(|other| &other.samples);
            for (column, samples) in row.samples.iter_mut().skip(first).zip(theirs) {
                column.extend(samples);
            }
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
        let seen = |column: &usize| self.columns.get(*column) != Some(&Self::UNSEEN);
        let columns: Vec<usize> = (0..self.columns.len()).filter(used).filter(seen).collect();
        let of_used = |(_, one, other): &&(&str, usize, usize)| used(one) && used(other);
        let ratios: Vec<_> = self.ratios.iter().filter(of_used).collect();
        let headings = columns.iter().filter_map(|column| self.columns.get(*column)).copied();
        let headings = headings.chain(ratios.iter().map(|ratio| ratio.0));
        let mut cells =
            vec![["operation"].into_iter().chain(headings).map(str::to_owned).collect()];
        for row in &self.rows {
            let mut line = vec![row.operation.clone()];
            line.extend(columns.iter().map(|column| row.cell(*column)));
            line.extend(ratios.iter().map(|(_, one, other)| row.ratio_cell(*one, *other)));
            cells.push(line);
        }
        cells
    }
}

// === impl Row ===

impl Row {
    fn median(&self, column: usize) -> Option<f64> {
        quantile(self.samples.get(column)?, 0.5)
    }

    /// Half of the range that the middle half of the samples is in.
    fn spread(&self, column: usize) -> Option<f64> {
        let samples = self.samples.get(column)?;
        Some((quantile(samples, 0.75)? - quantile(samples, 0.25)?) / 2.0)
    }

    /// The median's standard error, as a part of the median. The samples are taken to be
    /// spread like a bell: its deviation is 1.48 of our spreads, and a median's error 1.25
    /// of a mean's.
    fn error(&self, column: usize) -> Option<f64> {
        let count = u32::try_from(self.samples.get(column)?.len()).ok()?;
        let deviation = 1.48 * self.spread(column)? / self.median(column)?;
        (count > 1).then(|| 1.25 * deviation / f64::from(count).sqrt())
    }

    fn cell(&self, column: usize) -> String {
        let median = number(self.median(column));
        match self.spread(column).filter(|spread| *spread > 0.0) {
            Some(spread) => format!("{median} ±{}", number(Some(spread))),
            None => median,
        }
    }

    fn ratio_cell(&self, one: usize, other: usize) -> String {
        let Some((median, by)) = self.median(one).zip(self.median(other)) else {
            return "–".to_owned();
        };
        let ratio = median / by;
        match self.error(one).zip(self.error(other)) {
            Some((one, other)) => format!("{ratio:.2} ±{:.2}", ratio * one.hypot(other)),
            None => format!("{ratio:.2}"),
        }
    }
}

/// The value that this part of the samples is below, between the two next to it if need be.
fn quantile(samples: &[f64], part: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = u32::try_from(sorted.len().checked_sub(1)?).ok()?;
    let place = f64::from(last) * part;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is an index")]
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    let (low, high) = (sorted.get(low)?, sorted.get(high)?);
    Some(low + (high - low) * place.fract())
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
    fn quantiles_are_between_samples() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[3.0], 0.5), Some(3.0));
        assert_eq!(quantile(&[9.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(quantile(&[4.0, 1.0, 2.0, 9.0], 0.5), Some(3.0));
        assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0, 5.0], 0.25), Some(2.0));
    }

    #[test]
    fn cells_tell_the_spread_and_ratios_their_error() {
        let mut table = Table::new("t", "", &["a", "b"], &[("b/a", 1, 0)]);
        for sample in [9.0, 10.0, 10.0, 11.0] {
            table.record("start", 0, sample);
            table.record("start", 1, 2.0 * sample);
        }
        // Half of the middle half's range: (10.25 - 9.75) / 2.
        assert_eq!(table.cells()[1], ["start", "10.0 ±0.25", "20.0 ±0.50", "2.00 ±0.07"]);
    }

    #[test]
    fn what_another_table_has_is_divided_by_and_not_seen() {
        let mut before = Table::new("t", "", &["a", "b"], &[]);
        let ratios = &[("a, now / then", 0, 2), ("b, now / then", 1, 3)];
        let mut now = Table::new("t", "", &["a", "b", Table::UNSEEN, Table::UNSEEN], ratios);
        for (operation, a, b) in [("stop", 1.0, 1.0), ("start", 10.0, 20.0)] {
            before.record(operation, 0, a);
            before.record(operation, 1, b);
        }
        now.record("start", 0, 15.0);
        now.record("start", 1, 10.0);
        now.add_columns(&before, 2);
        let expected = [
            vec!["operation", "a", "b", "a, now / then", "b, now / then"],
            vec!["start", "15.0", "10.0", "1.50", "0.50"],
        ];
        assert_eq!(now.cells(), expected);
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
