//! One picture of the live view: acts, curves with their thresholds, alerts.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph, Row, Table};

use super::board::{Board, Point, Showing};
use super::scene::Act;
use super::view::Show;

/// What the share-of-something rules take for too much, and for too little.
const HIGH: f64 = 0.85;
const LOW: f64 = 0.90;
/// Seconds of a curve that are shown.
const SPAN: f64 = 120.0;

/// Draws the scene as it stands at `now`.
pub(crate) fn picture(frame: &mut Frame<'_>, board: &Board, show: &Show, now: f64) {
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(10),
        Constraint::Length(8),
        Constraint::Length(1),
    ];
    let [title, acts, bar, curves, alerts, foot] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(heading(board, show, now), title);
    frame.render_widget(act_line(board), acts);
    frame.render_widget(progress(board, show, now), bar);
    charts(frame, curves, board, now);
    alert_list(frame, alerts, board);
    let status = format!(" {}   q quits", board.status);
    frame.render_widget(Paragraph::new(status).style(Style::new().fg(Color::DarkGray)), foot);
}

fn heading(board: &Board, show: &Show, now: f64) -> Paragraph<'static> {
    let start = board.acts.first().map_or(now, |act| act.started_at);
    let name = Span::styled(" plimsoll demo ", Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED));
    let note = board.notes.last().map(|note| format!("   {note}")).unwrap_or_default();
    let rest = format!("  {:.0} s, engine: {}", now - start, show.engine);
    Paragraph::new(Line::from(vec![name, rest.into(), Span::styled(note, Style::new().fg(Color::Yellow))]))
}

fn act_line(board: &Board) -> Paragraph<'static> {
    let playing = board.acts.last().map(|span| span.act);
    let mut spans = vec![Span::raw(" ")];
    for act in Act::ALL {
        let over = board.acts.iter().any(|span| span.act == act && span.ended_at.is_some());
        let (mark, style) = match (playing == Some(act), over) {
            (true, false) => ("> ", Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD)),
            (_, true) => ("+ ", Style::new().fg(Color::Green)),
            _ => ("  ", Style::new().fg(Color::DarkGray)),
        };
        spans.push(Span::styled(format!("{mark}{}   ", act.title()), style));
    }
    Paragraph::new(Line::from(spans))
}

/// How much of the scene is over, each act counted by its expected length.
fn progress(board: &Board, show: &Show, now: f64) -> Gauge<'static> {
    let whole: f64 = Act::ALL.iter().map(|act| show.expected(*act)).sum();
    let played: f64 = board
        .acts
        .iter()
        .map(|span| match span.ended_at {
            Some(_) => show.expected(span.act),
            None => (now - span.started_at).clamp(0.0, show.expected(span.act)),
        })
        .sum();
    let ratio = if whole > 0.0 { (played / whole).clamp(0.0, 1.0) } else { 0.0 };
    Gauge::default().ratio(ratio).gauge_style(Style::new().fg(Color::Cyan).bg(Color::Black))
}

/// One curve: its title, what it shows, its limits.
struct Curve {
    title: String,
    values: Vec<(f64, f64)>,
    limits: Vec<Vec<(f64, f64)>>,
    top: f64,
    alarm: bool,
}

fn charts(frame: &mut Frame<'_>, area: Rect, board: &Board, now: f64) {
    let [upper, lower] = Layout::vertical([Constraint::Fill(1); 2]).areas(area);
    let halves = Layout::horizontal([Constraint::Fill(1); 2]);
    let [a, b] = halves.areas(upper);
    let [c, d] = halves.areas(lower);
    let points: Vec<&Point> = board.points.iter().filter(|point| point.at > now - SPAN).collect();
    for (area, curve) in [
        (a, input_curve(&points, now)),
        (b, share_curve("task completion", &points, now, |point| point.completion, LOW, |value| value < LOW)),
        (c, share_curve("CPU", &points, now, |point| point.cpu, HIGH, |value| value > HIGH)),
        (d, rate_curve(&points, now)),
    ] {
        frame.render_widget(chart(&curve), area);
    }
}

fn series(points: &[&Point], now: f64, value: impl Fn(&Point) -> Option<f64>) -> Vec<(f64, f64)> {
    points.iter().filter_map(|point| Some((point.at - now, value(point)?))).collect()
}

fn top_of(lists: &[&Vec<(f64, f64)>]) -> f64 {
    lists.iter().flat_map(|list| list.iter()).map(|(_, value)| *value).fold(1.0, f64::max) * 1.1
}

fn input_curve(points: &[&Point], now: f64) -> Curve {
    let values = series(points, now, |point| point.input_mean);
    let low = series(points, now, |point| Some(point.input_band?.0));
    let high = series(points, now, |point| Some(point.input_band?.1));
    let last = points.last().copied().copied().unwrap_or_default();
    let off = |(low, high): (f64, f64), mean: f64| mean < low || mean > high;
    Curve {
        title: format!("input tokens, mean {:.0}", last.input_mean.unwrap_or(0.0)),
        top: top_of(&[&values, &high]),
        alarm: last.input_band.zip(last.input_mean).is_some_and(|(band, mean)| off(band, mean)),
        values,
        limits: vec![low, high],
    }
}

fn share_curve(
    name: &str,
    points: &[&Point],
    now: f64,
    value: impl Fn(&Point) -> Option<f64>,
    limit: f64,
    bad: impl Fn(f64) -> bool,
) -> Curve {
    let values = series(points, now, value);
    let last = values.last().map(|(_, value)| *value);
    Curve {
        title: last.map_or_else(|| name.to_owned(), |last| format!("{name} {:.0} %", last * 100.0)),
        limits: vec![vec![(-SPAN, limit), (0.0, limit)]],
        top: 1.0,
        alarm: last.is_some_and(bad),
        values,
    }
}

fn rate_curve(points: &[&Point], now: f64) -> Curve {
    let values = series(points, now, |point| point.request_rate);
    let last = values.last().map_or(0.0, |(_, value)| *value);
    Curve { title: format!("requests/s {last:.1}"), top: top_of(&[&values]), limits: vec![], alarm: false, values }
}

fn chart(curve: &Curve) -> Chart<'_> {
    let line = |data, color| {
        Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).style(Style::new().fg(color)).data(data)
    };
    let color = if curve.alarm { Color::Red } else { Color::Green };
    let mut lines: Vec<Dataset<'_>> = curve.limits.iter().map(|limit| line(limit, Color::DarkGray)).collect();
    lines.push(line(&curve.values, color));
    let top = if curve.top > 10.0 { format!("{:.0}", curve.top) } else { format!("{:.1}", curve.top) };
    Chart::new(lines)
        .block(Block::bordered().title(format!(" {} ", curve.title)).border_style(Style::new().fg(color)))
        .x_axis(Axis::default().bounds([-SPAN, 0.0]))
        .y_axis(Axis::default().bounds([0.0, curve.top]).labels(["0".to_owned(), top]))
        .legend_position(None)
}

fn alert_list(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let active = board.showing.iter().filter(|alert| matters(alert)).map(active_row);
    let over = board.incidents.iter().rev().filter(|incident| incident.resolved_at.is_some() && incident.matters());
    let over = over.map(|incident| {
        let row = Row::new(["resolved".to_owned(), incident.alert().to_owned(), String::new()]);
        row.style(Style::new().fg(Color::Green))
    });
    let widths = [Constraint::Length(9), Constraint::Length(28), Constraint::Fill(1)];
    let table = Table::new(active.chain(over), widths).block(Block::bordered().title(" alerts "));
    frame.render_widget(table, area);
}

fn matters(alert: &Showing) -> bool {
    alert.labels.get("severity").is_none_or(|severity| severity != "none")
}

fn active_row(alert: &Showing) -> Row<'static> {
    let (state, color) = if alert.firing { ("FIRING", Color::Red) } else { ("pending", Color::Yellow) };
    let name = alert.labels.get("alertname").cloned().unwrap_or_default();
    Row::new([state.to_owned(), name, alert.summary.clone()]).style(Style::new().fg(color))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::collections::BTreeMap;

    fn board() -> Board {
        let mut board = Board::default();
        board.enter(Act::Calm, 0.0);
        board.enter(Act::LongerPrompts, 58.0);
        for second in 0..70 {
            let at = f64::from(second);
            let (mean, cpu) = (Some(2000.0 + at * 30.0), Some(0.2));
            let band = Some((1800.0, 2200.0));
            board.points.push(Point { at, input_mean: mean, input_band: band, cpu, ..Point::default() });
        }
        let labels = BTreeMap::from([("alertname".to_owned(), "PlimsollInputLengthShift".to_owned())]);
        board.showing.push(Showing { labels, firing: true, summary: "longer than ever".to_owned() });
        board
    }

    #[test]
    fn every_size_of_terminal_gets_a_picture() {
        let show = Show { duration_scale: 1.0, engine: "stand-in".to_owned() };
        for (width, height) in [(120, 40), (80, 24), (20, 5), (1, 1)] {
            for board in [Board::default(), board()] {
                let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
                terminal.draw(|frame| picture(frame, &board, &show, 70.0)).unwrap();
                let text = format!("{:?}", terminal.backend().buffer());
                let full = width >= 80 && !board.acts.is_empty();
                assert_eq!(text.contains("PlimsollInputLengthShift"), full, "{width} x {height}");
                assert_eq!(text.contains("> longer prompts"), full, "{width} x {height}");
            }
        }
    }
}
