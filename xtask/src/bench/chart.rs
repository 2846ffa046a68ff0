//! The chart: how many times the built-in driver's time ours takes.
//!
//! A ratio has no zero, so the bars begin at 1 on a scale of powers of two: to the left is
//! faster, to the right slower.

use std::fmt::Write as _;

use super::docker::{BUILT_IN, OURS};
use super::table::Table;

/// The drawing, in its own units.
const LABELS: f64 = 190.0;
const PLOT: f64 = 480.0;
const RIGHT: f64 = 70.0;
const TOP: f64 = 56.0;
const ROW: f64 = 24.0;
const BAR: f64 = 14.0;

/// Grey is seen on light and on dark.
const INK: &str = "#808080";
const FASTER: &str = "#2a9d5c";
const SLOWER: &str = "#d9622b";

/// The chart as SVG.
pub fn svg(table: &Table) -> String {
    let ratios = table.ratios(OURS, BUILT_IN);
    // In powers of two; whole ones at the ends, and 1 among them.
    let powers = ratios.iter().map(|(_, ratio)| ratio.log2());
    let low = powers.clone().fold(-1.0, f64::min).floor();
    let high = powers.fold(1.0, f64::max).ceil();
    let x = |power: f64| LABELS + (power - low) / (high - low) * PLOT;

    let rows = f64::from(u32::try_from(ratios.len()).unwrap_or_default());
    let (width, bottom) = (LABELS + PLOT + RIGHT, TOP + rows * ROW);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"{INK}\">\n\
         <text x=\"{LABELS}\" y=\"18\" font-size=\"14\">Time with wasm-bridge, as a multiple of \
         Docker's bridge</text>\n",
        bottom + 12.0
    );
    let mut power = low;
    while power <= high {
        let at = x(power);
        let line = if power == 0.0 { 1.5 } else { 0.4 };
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"42\" text-anchor=\"middle\">{}</text>\n\
             <line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{}\" y2=\"{bottom}\" stroke=\"{INK}\" \
             stroke-width=\"{line}\"/>",
            multiple(power),
            TOP - 8.0
        );
        power += 1.0;
    }
    let mut top = TOP;
    for (operation, ratio) in ratios {
        let (one, end, text) = (x(0.0), x(ratio.log2()), top + 16.0);
        let (start, length) = (one.min(end), (one - end).abs());
        let colour = if ratio <= 1.0 { FASTER } else { SLOWER };
        // Beside the bar's outer end.
        let (at, anchor) = if ratio <= 1.0 { (one + 5.0, "start") } else { (end + 5.0, "start") };
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{operation}</text>\n\
             <rect x=\"{start:.1}\" y=\"{}\" width=\"{length:.1}\" height=\"{BAR}\" \
             fill=\"{colour}\"/>\n\
             <text x=\"{at:.1}\" y=\"{text}\" text-anchor=\"{anchor}\">{ratio:.2}</text>",
            LABELS - 8.0,
            top + 5.0
        );
        top += ROW;
    }
    svg.push_str("</svg>\n");
    svg
}

/// A power of two as people write it.
fn multiple(power: f64) -> String {
    let (sign, size) = (power < 0.0, power.abs().exp2());
    if sign { format!("1/{size}") } else { format!("{size}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faster_is_left_and_slower_is_right() {
        let mut table = Table::new("t", "", &["a", "b"], &[]);
        for (operation, time) in [("quick", 2.5), ("slow", 40.0)] {
            table.record(operation, BUILT_IN, 10.0);
            table.record(operation, OURS, time);
        }
        let svg = svg(&table);
        assert!(svg.contains(">0.25</text>") && svg.contains(">4.00</text>"), "{svg}");
        assert!(svg.contains(FASTER) && svg.contains(SLOWER), "{svg}");
        assert!(svg.contains(">1/4</text>") && svg.contains(">4</text>"), "{svg}");
    }
}
