//! Losses that are written as functions: traced once into a formula.

use crate::Loss;
use serde_json::{json, Map, Value};
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

/// How tightly operators bind, as in the formula language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Choice,
    Or,
    And,
    Not,
    Compare,
    Sum,
    Product,
    Sign,
    Power,
    Atom,
}

/// A tensor, or a parameter, while a function is traced. It has no numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    text: String,
    level: Level,
}

impl Expr {
    fn new(text: impl Into<String>, level: Level) -> Self {
        Expr { text: text.into(), level }
    }

    /// An input or a parameter.
    pub fn named(name: &str) -> Self {
        Expr::new(name, Level::Atom)
    }

    /// The formula.
    pub fn formula(&self) -> &str {
        &self.text
    }

    pub fn pow(self, exponent: impl Into<Expr>) -> Expr {
        Expr::new(format!("{}^{}", self.within(Level::Atom), exponent.into().within(Level::Atom)), Level::Power)
    }

    pub fn less(self, other: impl Into<Expr>) -> Expr {
        self.compared("<", other.into())
    }

    pub fn less_equal(self, other: impl Into<Expr>) -> Expr {
        self.compared("<=", other.into())
    }

    pub fn greater(self, other: impl Into<Expr>) -> Expr {
        self.compared(">", other.into())
    }

    pub fn equal(self, other: impl Into<Expr>) -> Expr {
        self.compared("==", other.into())
    }

    fn compared(self, sign: &str, other: Expr) -> Expr {
        Expr::new(format!("{} {sign} {}", self.within(Level::Sum), other.within(Level::Sum)), Level::Compare)
    }

    fn binary(self, sign: &str, level: Level, next: Level, other: Expr) -> Expr {
        Expr::new(format!("{} {sign} {}", self.within(level), other.within(next)), level)
    }

    /// In parentheses if it binds less tightly.
    fn within(&self, level: Level) -> String {
        if self.level < level {
            format!("({})", self.text)
        } else {
            self.text.clone()
        }
    }
}

/// A number that is not finite is in no formula: the service says so.
impl From<f64> for Expr {
    fn from(value: f64) -> Self {
        Expr::new(crate::numbers::float(value), if value < 0.0 { Level::Sign } else { Level::Atom })
    }
}

impl From<bool> for Expr {
    fn from(value: bool) -> Self {
        Expr::new(value.to_string(), Level::Atom)
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $sign:literal, $level:ident, $next:ident) => {
        impl<T: Into<Expr>> $trait<T> for Expr {
            type Output = Expr;
            fn $method(self, other: T) -> Expr {
                self.binary($sign, Level::$level, Level::$next, other.into())
            }
        }
    };
}

operator!(Add, add, "+", Sum, Product);
operator!(Sub, sub, "-", Sum, Product);
operator!(Mul, mul, "*", Product, Sign);
operator!(Div, div, "/", Product, Sign);
operator!(BitAnd, bitand, "and", And, Not);
operator!(BitOr, bitor, "or", Or, And);

macro_rules! number_first {
    ($trait:ident, $method:ident) => {
        impl $trait<Expr> for f64 {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr {
                Expr::from(self).$method(other)
            }
        }
    };
}

number_first!(Add, add);
number_first!(Sub, sub);
number_first!(Mul, mul);
number_first!(Div, div);

impl Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        Expr::new(format!("-{}", self.within(Level::Power)), Level::Sign)
    }
}

impl Not for Expr {
    type Output = Expr;
    fn not(self) -> Expr {
        Expr::new(format!("not {}", self.within(Level::Atom)), Level::Not)
    }
}

/// `yes` where the condition is true, and `no` elsewhere.
pub fn choose(condition: Expr, yes: impl Into<Expr>, no: impl Into<Expr>) -> Expr {
    let [test, a, b] = [condition, yes.into(), no.into()].map(|part| part.within(Level::Or));
    Expr::new(format!("{test} ? {a} : {b}"), Level::Choice)
}

/// A function of the formula language. Axes are [`Expr::named`] too.
///
/// ```
/// # use lossd::trace::{call, Expr};
/// assert_eq!(call("sum", [Expr::named("x").pow(2.0), Expr::named("rows")]).formula(), "sum(x^2, rows)");
/// ```
pub fn call<const N: usize>(function: &str, arguments: [Expr; N]) -> Expr {
    let texts: Vec<_> = arguments.iter().map(Expr::formula).collect();
    Expr::new(format!("{function}({})", texts.join(", ")), Level::Atom)
}

impl Loss {
    /// A loss by its definition: a formula with declared inputs and parameters.
    pub fn definition(definition: Value) -> Self {
        let mut loss = Loss { name: None, ..Loss::new("") };
        loss.inline.insert("definition".into(), definition);
        loss
    }

    /// A loss that is written as a function. It is called once, with its inputs and its parameters, which have defaults.
    ///
    /// ```
    /// # use lossd::{trace::call, Loss};
    /// Loss::traced(["predictions", "targets"], [("scale", 1.0)], |[p, t], [scale]| call("log1p", [((p - t) / scale).pow(2.0)]));
    /// ```
    pub fn traced<const I: usize, const P: usize>(
        inputs: [&str; I],
        params: [(&str, f64); P],
        body: impl FnOnce([Expr; I], [Expr; P]) -> Expr,
    ) -> Self {
        let result = body(inputs.map(Expr::named), params.map(|(name, _)| Expr::named(name)));
        let declared: Map<_, _> = inputs.iter().map(|name| (name.to_string(), json!({ "differentiable": true }))).collect();
        let defaults: Map<_, _> =
            params.iter().map(|(name, value)| (name.to_string(), json!({ "type": "number", "default": value }))).collect();
        Loss::definition(json!({ "inputs": declared, "params": defaults, "formula": result.formula() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_precedence_of_operators() {
        let (x, y) = (|| Expr::named("x"), || Expr::named("y"));
        for (got, want) in [
            ((x() - y()) * (x() + 1.0), "(x - y) * (x + 1)"),
            (x() - (y() - 1.0), "x - (y - 1)"),
            ((-x()).pow(2.0), "(-x)^2"),
            (x().pow(-2.0), "x^(-2)"),
            (choose(x().less(y()), 0.5 * x(), y()), "x < y ? 0.5 * x : y"),
            (!x().less(y()) | x().equal(y()), "not (x < y) or x == y"),
        ] {
            assert_eq!(got.formula(), want);
        }
    }
}
