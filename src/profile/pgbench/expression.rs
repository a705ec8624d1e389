//! The expressions of `\set`: whole and real numbers, arithmetic and `random…(…)`, evaluated when a script is read.

use super::variables::{Variable, Variables};
use crate::model::Domain;

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Whole(i64),
    Real(f64),
    /// Another number in each request.
    Drawn(Domain),
}

/// The deepest nesting of parentheses.
const DEEPEST: u32 = 64;

/// Evaluates an expression; the error says what is wrong and what to do.
pub(super) fn evaluate(text: &str, variables: &Variables) -> Result<Value, String> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, variables, depth: 0 };
    let value = reader.sum()?;
    match reader.tokens.first() {
        None => Ok(value),
        Some(token) => Err(format!("`{token}` is not expected there: what can be read are {READABLE}")),
    }
}

const READABLE: &str = "whole and real numbers, `:variables`, `+ - * / %`, parentheses, `abs`, `double`, `greatest`, \
                        `int`, `least`, `mod`, `random` and `random_zipfian`";

/// Cuts an expression into numbers, names, variables (with their colon) and signs.
fn tokens(text: &str) -> Result<Vec<&str>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |from: &str| from.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(from.len());
        let length = match first {
            '0'..='9' | '.' => number_length(rest),
            'a'..='z' | 'A'..='Z' | '_' => word(rest),
            ':' if word(&rest[1..]) > 0 => 1 + word(&rest[1..]),
            '+' | '-' | '*' | '/' | '%' | '(' | ')' | ',' => 1,
            other => return Err(format!("`{other}` cannot be read: what can be read are {READABLE}")),
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// The length of the number that `text` begins with: digits, a point, an exponent.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| text[from..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |at| from + at);
    let mut end = digits(0);
    if text[end..].starts_with('.') {
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    end
}

struct Reader<'a> {
    tokens: &'a [&'a str],
    variables: &'a Variables,
    depth: u32,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn next_of(&mut self, signs: &[&str]) -> Option<&'a str> {
        let sign = self.tokens.first().filter(|token| signs.contains(token))?;
        self.tokens = &self.tokens[1..];
        Some(sign)
    }

    fn need(&mut self, sign: &str) -> Result<(), String> {
        self.next_of(&[sign]).map(|_| ()).ok_or_else(|| format!("a `{sign}` is missing"))
    }

    fn sum(&mut self) -> Result<Value, String> {
        let mut value = self.product()?;
        while let Some(sign) = self.next_of(&["+", "-"]) {
            value = apply(sign, value, self.product()?)?;
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<Value, String> {
        let mut value = self.signed()?;
        while let Some(sign) = self.next_of(&["*", "/", "%"]) {
            value = apply(sign, value, self.signed()?)?;
        }
        Ok(value)
    }

    fn signed(&mut self) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it is nested too deeply: split it into several `\\set`".to_owned());
        }
        let value = match self.next_of(&["+", "-"]) {
            Some("-") => {
                let value = self.signed()?;
                apply("-", Value::Whole(0), value)
            }
            Some(_) => self.signed(),
            None => self.single(),
        };
        self.depth -= 1;
        value
    }

    fn single(&mut self) -> Result<Value, String> {
        let token = self.next().ok_or("it ends too early: a number is missing")?;
        if let Some(name) = token.strip_prefix(':') {
            return self.variable(name);
        }
        if token == "(" {
            let value = self.sum()?;
            self.need(")")?;
            return Ok(value);
        }
        if token.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return number(token).ok_or_else(|| format!("`{token}` is no number that can be held"));
        }
        if token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            self.need("(")?;
            return self.function(&token.to_ascii_lowercase());
        }
        Err(format!("`{token}` is not expected there: a number is missing"))
    }

    fn variable(&self, name: &str) -> Result<Value, String> {
        // The line is added by whoever called.
        match self.variables.get(name, 0).map_err(|problem| problem.text)? {
            Variable::Constant(value) => {
                let (sign, digits) = value.strip_prefix('-').map_or((1, value.as_str()), |digits| (-1, digits));
                match number(digits) {
                    Some(Value::Whole(whole)) => Ok(Value::Whole(sign * whole)),
                    Some(Value::Real(real)) => Ok(Value::Real(if sign < 0 { -real } else { real })),
                    _ => Err(format!("`:{name}` is `{value}`: expected a number")),
                }
            }
            Variable::Drawn(_) => Err(format!(
                "`:{name}` is drawn anew in each request, and a profile cannot calculate with it: calculate in SQL \
                 instead, such as `… where id = :{name} + 1`"
            )),
        }
    }

    fn function(&mut self, name: &str) -> Result<Value, String> {
        let mut arguments = Vec::new();
        if self.next_of(&[")"]).is_none() {
            loop {
                arguments.push(self.sum()?);
                if self.next_of(&[","]).is_none() {
                    break;
                }
            }
            self.need(")")?;
        }
        match (name, arguments.as_slice()) {
            ("random", [low, high]) => Ok(Value::Drawn(uniform(whole(low)?, whole(high)?)?)),
            ("random_zipfian", [low, high, exponent]) => {
                zipf(whole(low)?, whole(high)?, real(exponent)?).map(Value::Drawn)
            }
            ("random_gaussian" | "random_exponential", _) => Err(format!(
                "`{name}` is not supported: a profile draws uniformly (`random(low, high)`) or by Zipf's law \
                 (`random_zipfian(low, high, exponent)`), and neither is near enough to it to be taken unasked"
            )),
            ("abs", [Value::Whole(value)]) => value.checked_abs().map(Value::Whole).ok_or_else(too_large),
            ("abs", [Value::Real(value)]) => Ok(Value::Real(value.abs())),
            ("double", [value]) => real(value).map(Value::Real),
            ("int", [Value::Whole(value)]) => Ok(Value::Whole(*value)),
            ("int", [Value::Real(value)]) => truncated(*value).map(Value::Whole),
            ("mod", [left, right]) => apply("%", Value::Whole(whole(left)?), Value::Whole(whole(right)?)),
            ("greatest" | "least", [first, others @ ..]) => extreme(name == "greatest", first, others),
            ("abs" | "double" | "greatest" | "int" | "least" | "mod" | "random" | "random_zipfian", arguments)
                if !arguments.iter().any(|value| matches!(value, Value::Drawn(_))) =>
            {
                Err(format!("`{name}` has {} arguments, which is not what it takes", arguments.len()))
            }
            (_, arguments) if arguments.iter().any(|value| matches!(value, Value::Drawn(_))) => Err(drawn()),
            _ => Err(format!("`{name}` is not supported: what can be read are {READABLE}")),
        }
    }
}

fn number(token: &str) -> Option<Value> {
    if token.bytes().all(|byte| byte.is_ascii_digit()) {
        return token.parse().ok().map(Value::Whole);
    }
    token.parse().ok().filter(|real: &f64| real.is_finite()).map(Value::Real)
}

fn apply(sign: &str, left: Value, right: Value) -> Result<Value, String> {
    let value = match (left, right) {
        (Value::Whole(left), Value::Whole(right)) => {
            if right == 0 && matches!(sign, "/" | "%") {
                return Err("it divides by zero".to_owned());
            }
            let value = match sign {
                "+" => left.checked_add(right),
                "-" => left.checked_sub(right),
                "*" => left.checked_mul(right),
                "/" => left.checked_div(right),
                _ => left.checked_rem(right),
            };
            return value.map(Value::Whole).ok_or_else(too_large);
        }
        // A whole number more or less is the same law over another range.
        (Value::Drawn(domain), Value::Whole(by)) if sign == "+" => return moved(&domain, by).map(Value::Drawn),
        (Value::Whole(by), Value::Drawn(domain)) if sign == "+" => return moved(&domain, by).map(Value::Drawn),
        (Value::Drawn(domain), Value::Whole(by)) if sign == "-" => {
            return moved(&domain, by.checked_neg().ok_or_else(too_large)?).map(Value::Drawn);
        }
        (Value::Drawn(_), _) | (_, Value::Drawn(_)) => return Err(drawn()),
        (left, right) => {
            let (left, right) = (real(&left)?, real(&right)?);
            match sign {
                "+" => left + right,
                "-" => left - right,
                "*" => left * right,
                "/" => left / right,
                _ => return Err("`%` takes whole numbers".to_owned()),
            }
        }
    };
    if value.is_finite() { Ok(Value::Real(value)) } else { Err("it comes to no finite number".to_owned()) }
}

fn too_large() -> String {
    "it comes to a number that is too large for 64 bits".to_owned()
}

fn drawn() -> String {
    "it calculates with a random value, which a profile cannot do beyond adding a whole number: calculate in SQL \
     instead, such as `… where id = :id * 2`"
        .to_owned()
}

fn moved(domain: &Domain, by: i64) -> Result<Domain, String> {
    let ends = |low: i64, high: i64| Some((low.checked_add(by)?, high.checked_add(by)?));
    match *domain {
        Domain::Uniform { low, high } => ends(low, high).map(|(low, high)| Domain::Uniform { low, high }),
        Domain::Zipf { low, high, exponent } => ends(low, high).map(|(low, high)| Domain::Zipf { low, high, exponent }),
        _ => None,
    }
    .ok_or_else(too_large)
}

fn uniform(low: i64, high: i64) -> Result<Domain, String> {
    ordered(low, high)?;
    Ok(Domain::Uniform { low, high })
}

fn zipf(low: i64, high: i64, exponent: f64) -> Result<Domain, String> {
    ordered(low, high)?;
    if exponent > 0.0 && exponent <= 20.0 {
        return Ok(Domain::Zipf { low, high, exponent });
    }
    Err(format!("the exponent is {exponent}: expected a number above 0 and up to 20"))
}

fn ordered(low: i64, high: i64) -> Result<(), String> {
    if low <= high { Ok(()) } else { Err(format!("its range is {low} to {high}: expected the lower end first")) }
}

fn extreme(greatest: bool, first: &Value, others: &[Value]) -> Result<Value, String> {
    let all = || std::iter::once(first).chain(others);
    if let Some(whole) = all().map(|value| whole(value).ok()).collect::<Option<Vec<i64>>>() {
        let found = if greatest { whole.into_iter().max() } else { whole.into_iter().min() };
        return found.map(Value::Whole).ok_or_else(too_large);
    }
    let real = all().map(real).collect::<Result<Vec<f64>, _>>()?;
    let found = real.into_iter().reduce(if greatest { f64::max } else { f64::min });
    found.map(Value::Real).ok_or_else(too_large)
}

fn whole(value: &Value) -> Result<i64, String> {
    match value {
        Value::Whole(whole) => Ok(*whole),
        Value::Real(real) => Err(format!("{real} is no whole number: write `int({real})` if it is to be cut")),
        Value::Drawn(_) => Err(drawn()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "pgbench itself turns whole numbers into such real ones")]
fn real(value: &Value) -> Result<f64, String> {
    match value {
        Value::Whole(whole) => Ok(*whole as f64),
        Value::Real(real) => Ok(*real),
        Value::Drawn(_) => Err(drawn()),
    }
}

fn truncated(value: f64) -> Result<i64, String> {
    // 2^63, the first number that is too large.
    const END: f64 = 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "cutting is what `int` is for, and the size is checked")]
    if (-END..END).contains(&value) { Ok(value.trunc() as i64) } else { Err(too_large()) }
}
