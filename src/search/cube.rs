//! Settings as points of the unit cube, and back.

use crate::model::{Axis, Scale, Setting, Settings, Space, Unit, Value};

/// The map between settings and points.
///
/// `min_connections` is a share of the way up to the maximum, so that no point breaks the rule between the two. Wide ranges
/// of counts and times are logarithmic. Values are rounded on the way back, so that only what can be set is considered.
#[derive(Clone, Debug)]
pub(super) struct Cube {
    axes: Vec<Edge>,
    baseline: Settings,
}

#[derive(Clone, Debug)]
struct Edge {
    setting: Setting,
    low: f64,
    high: f64,
    log: bool,
}

/// Settings with their place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) settings: Settings,
    /// Coordinates, 0 to 1 within the ranges; a baseline may lie outside.
    pub(super) at: Vec<f64>,
    /// The number of connections, for the curve.
    pub(super) connections: f64,
}

impl Cube {
    pub(super) fn new(space: &Space) -> Self {
        let number = |setting| space.baseline.get(setting).number().unwrap_or(0.0);
        let find = |setting| space.axes.iter().find(|axis| axis.setting == setting);
        let least = find(Setting::MinConnections).map_or(number(Setting::MinConnections), |axis| axis.low);
        let most = find(Setting::MaxConnections).map_or(number(Setting::MaxConnections), |axis| axis.high);
        let edge = |axis: &Axis| {
            let (mut low, mut high) = (axis.low, axis.high);
            match axis.setting {
                Setting::MaxConnections => low = low.max(least).min(high),
                Setting::MinConnections => high = high.min(most).max(low),
                _ => {}
            }
            let wide = low >= 1.0 && high / low > 3.0 && axis.setting != Setting::MinConnections;
            let log = match axis.setting.spec().scale {
                Scale::Log => low > 0.0,
                Scale::Integer => wide,
                Scale::Linear | Scale::Choice => false,
            };
            Edge { setting: axis.setting, low, high, log }
        };
        Self { axes: space.axes.iter().map(edge).collect(), baseline: space.baseline.clone() }
    }

    pub(super) fn n_axes(&self) -> usize {
        self.axes.len()
    }

    /// The axis of the number of connections, if it varies.
    pub(super) fn connections_axis(&self) -> Option<usize> {
        self.axes.iter().position(|edge| edge.setting == Setting::MaxConnections)
    }

    pub(super) fn setting(&self, axis: usize) -> Setting {
        self.axes[axis].setting
    }

    pub(super) fn baseline(&self) -> Point {
        self.point(self.baseline.clone())
    }

    /// The smallest and the largest number of connections.
    pub(super) fn connections_range(&self) -> (f64, f64) {
        self.connections_axis().map_or((1.0, 1.0), |axis| (self.axes[axis].low.max(1.0), self.axes[axis].high.max(1.0)))
    }

    pub(super) fn point(&self, settings: Settings) -> Point {
        let number = |setting| settings.get(setting).number().unwrap_or(0.0);
        let most = number(Setting::MaxConnections);
        let at = self
            .axes
            .iter()
            .map(|edge| {
                let high = edge.top(most);
                let value = number(edge.setting);
                if high <= edge.low {
                    if (value - edge.low).abs() < 1e-9 { 0.0 } else { (value - edge.low).signum() }
                } else if edge.log {
                    (value.max(edge.low * 1e-3) / edge.low).ln() / (high / edge.low).ln()
                } else {
                    (value - edge.low) / (high - edge.low)
                }
            })
            .collect();
        Point { at, connections: most.max(1.0), settings }
    }

    /// The settings at coordinates from 0 to 1, rounded to what can be set; `None` when a rule between settings forbids them.
    pub(super) fn place(&self, at: &[f64]) -> Option<Point> {
        let mut settings = self.baseline.clone();
        // The maximum first, as the minimum depends on it.
        let order = |edge: &Edge| u8::from(edge.setting == Setting::MinConnections);
        for pass in 0..=1 {
            for (edge, share) in self.axes.iter().zip(at).filter(|(edge, _)| order(edge) == pass) {
                let most = f64::from(settings.max_connections());
                settings = settings.with(edge.setting, edge.value(*share, most)?);
            }
        }
        settings.check().ok()?;
        Some(self.point(settings))
    }

    /// The point with the setting of one axis as it is in `other`; the minimum is cut to the maximum. `None` as in `place`.
    pub(super) fn with_axis(&self, point: &Point, axis: usize, other: &Settings) -> Option<Point> {
        let setting = self.axes[axis].setting;
        let mut settings = point.settings.clone().with(setting, other.get(setting).clone());
        if settings.min_connections() > settings.max_connections() {
            let most = settings.get(Setting::MaxConnections).clone();
            settings = settings.with(Setting::MinConnections, most);
        }
        settings.check().ok()?;
        Some(self.point(settings))
    }

    /// Every point, when there are at most `limit`; `None` when there are more.
    pub(super) fn all(&self, limit: usize) -> Option<Vec<Point>> {
        let mut places: Vec<Vec<f64>> = vec![vec![]];
        for edge in &self.axes {
            if edge.setting.spec().unit != Unit::Count {
                return None;
            }
            let steps = (edge.high - edge.low).round();
            let mut shares = vec![];
            let mut value = edge.low;
            while value <= edge.high + 0.5 && shares.len() <= limit {
                shares.push(if steps <= 0.0 { 0.0 } else { edge.share(value) });
                value += 1.0;
            }
            if places.len() * shares.len() > limit {
                return None;
            }
            places = places
                .into_iter()
                .flat_map(|place| {
                    shares.iter().map(move |share| place.iter().copied().chain([*share]).collect::<Vec<_>>())
                })
                .collect();
        }
        let mut points: Vec<Point> = vec![];
        for point in places.iter().filter_map(|at| self.place(at)) {
            if !points.contains(&point) {
                points.push(point);
            }
        }
        Some(points)
    }
}

impl Edge {
    /// The upper end, which for the minimum is not above the maximum.
    fn top(&self, most: f64) -> f64 {
        if self.setting == Setting::MinConnections { self.high.min(most) } else { self.high }
    }

    fn share(&self, value: f64) -> f64 {
        if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    fn value(&self, share: f64, most: f64) -> Option<Value> {
        let (share, high) = (share.clamp(0.0, 1.0), self.top(most));
        let low = self.low.min(high);
        let number = if self.log && high > low {
            (low.ln() + share * (high / low).ln()).exp()
        } else {
            low + share * (high - low)
        };
        let rounded = if self.setting.spec().unit == Unit::Count { number.round() } else { significant(number) };
        Value::from_number(self.setting, rounded.clamp(low, high)).ok()
    }
}

/// Two significant digits and a half: 0.0137 → 0.0135, as nobody wants to set 0.013 672 s.
fn significant(number: f64) -> f64 {
    if number <= 0.0 {
        return number;
    }
    let unit = 10_f64.powf(number.log10().floor() - 1.0) / 2.0;
    (number / unit).round() * unit
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simulate::Response;

    fn six() -> Cube {
        Cube::new(&Response::heavy(1).space())
    }

    proptest! {
        #[test]
        fn every_place_is_legal_and_in_range(at in prop::collection::vec(0.0_f64..=1.0, 6)) {
            let cube = six();
            let point = cube.place(&at).unwrap();
            prop_assert!(point.settings.check().is_ok());
            prop_assert!(point.at.iter().all(|share| (-1e-9..=1.0 + 1e-9).contains(share)), "{:?}", point.at);
            let again = cube.place(&point.at).unwrap();
            prop_assert_eq!(again.settings.max_connections(), point.settings.max_connections());
            prop_assert_eq!(again.settings.min_connections(), point.settings.min_connections());
        }
    }

    #[test]
    fn a_small_space_is_listed_whole() {
        let axes = [Setting::MinConnections, Setting::MaxConnections].map(|s| Axis::recommended(s).unwrap());
        let cube = Cube::new(&Space { baseline: Settings::default(), axes: axes.to_vec() });
        assert_eq!(cube.all(1000).unwrap().len(), 4 * 21);
        assert!(cube.all(50).is_none());
        assert!(six().all(1000).is_none());
    }

    #[test]
    fn a_minimum_that_is_pinned_bounds_the_maximum() {
        let baseline = Settings::default()
            .with(Setting::MinConnections, Value::Count(8))
            .with(Setting::MaxConnections, Value::Count(20));
        let axis = Axis::new(Setting::MaxConnections, 2.0, 30.0).unwrap();
        let cube = Cube::new(&Space { baseline, axes: vec![axis] });
        assert_eq!(cube.place(&[0.0]).unwrap().settings.max_connections(), 8);
    }

    #[test]
    fn numbers_keep_few_digits() {
        assert!((significant(0.013_672) - 0.013_5).abs() < 1e-12);
        assert!((significant(12.345) - 12.5).abs() < 1e-12);
    }
}
