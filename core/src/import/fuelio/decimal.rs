//! Decimal numbers as written, so that 48.10 is 4810 cents and not 4809.

use serde_json::Value;

/// Digits that are read; more is not a number anybody measured.
const DIGITS_MAX: u32 = 18;

/// `mantissa / 10^scale`, without trailing zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    mantissa: i128,
    scale: u32,
}

impl Decimal {
    /// Reads `12`, `12.50`, `12,50`, `-3`, `1.25E7` (Java writes large numbers so).
    ///
    /// A comma is the decimal sign when it is the only sign; `1.234,56` and `1,234.56` are
    /// refused rather than guessed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, number) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let significant = digits.trim_start_matches('0').trim_end_matches('0');
        let trailing = digits.len() - digits.trim_end_matches('0').len();
        if significant.is_empty() {
            return Some(Self { mantissa: 0, scale: 0 });
        }
        let mantissa: i128 = significant.parse().ok()?;
        let point = i64::try_from(fraction.len()).ok()?
            - i64::try_from(trailing).ok()?
            - i64::from(exponent);
        let digits_max = usize::try_from(DIGITS_MAX).ok()?;
        if significant.len() > digits_max || point.unsigned_abs() > DIGITS_MAX.into() {
            return None;
        }
        let mantissa = if negative { -mantissa } else { mantissa };
        let places = u32::try_from(point.unsigned_abs()).ok()?;
        if point >= 0 {
            return Some(Self { mantissa, scale: places });
        }
        let mantissa = mantissa.checked_mul(10_i128.checked_pow(places)?)?;
        (mantissa.abs() < 10_i128.pow(DIGITS_MAX)).then_some(Self { mantissa, scale: 0 })
    }

    pub(super) fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Places after the point that say something.
    pub(super) fn decimals(self) -> u32 {
        self.scale
    }

    /// `self × numerator / denominator` in units of `10^-decimals`, rounded once, half away from
    /// zero. `None` where it does not fit.
    pub(super) fn scaled(self, numerator: i128, denominator: i128, decimals: u32) -> Option<i64> {
        let over =
            self.mantissa.checked_mul(numerator)?.checked_mul(10_i128.checked_pow(decimals)?)?;
        let under = denominator.checked_mul(10_i128.checked_pow(self.scale)?)?;
        let half = if over < 0 { -(under / 2) } else { under / 2 };
        i64::try_from(over.checked_add(half)?.checked_div(under)?).ok()
    }

    /// The nearest JSON number.
    pub(super) fn to_json(self) -> Value {
        if self.scale == 0
            && let Ok(whole) = i64::try_from(self.mantissa)
        {
            return Value::from(whole);
        }
        self.normal_form().parse::<f64>().map_or(Value::Null, Value::from)
    }

    /// One text for each number: `12.50` and `12,5` are both `125e-1`.
    pub(super) fn normal_form(self) -> String {
        format!("{}e-{}", self.mantissa, self.scale)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Decimal;

    fn cents(text: &str) -> Option<i64> {
        Decimal::parse(text)?.scaled(1, 1, 2)
    }

    #[test]
    fn amounts_come_to_the_cent() {
        for (text, minor) in [
            ("48.10", 4810),
            ("0.29", 29),
            ("1.15", 115),
            ("8.2", 820),
            ("1172.92", 117_292),
            ("45,2", 4520),
            ("1.005", 101),
            ("1.004", 100),
            ("0", 0),
            ("0.0", 0),
            ("-3", -300),
            ("1.25E7", 1_250_000_000),
            ("1.0E-2", 1),
            ("007", 700),
            (".5", 50),
            ("5.", 500),
            ("54.150000000000006", 5415),
        ] {
            assert_eq!(cents(text), Some(minor), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_none() {
        for text in [
            "",
            "-",
            ".",
            "abc",
            "1.2.3",
            "1.234,56",
            "1,234.56",
            "12 34",
            "NaN",
            "inf",
            "1e",
            "1e99",
            "1e-99",
            "0x10",
            "٣",
            "1234567890123456789",
            "1e99999999999",
        ] {
            assert_eq!(cents(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn minor_units_survive_writing_and_reading(minor in 0i64..1_000_000_000_000) {
            prop_assert_eq!(cents(&format!("{}.{:02}", minor / 100, minor % 100)), Some(minor));
        }

        #[test]
        fn the_normal_form_ignores_trailing_zeros(whole in 0u32.., zeros in 0usize..6) {
            let plain = Decimal::parse(&whole.to_string()).map(Decimal::normal_form);
            let padded = Decimal::parse(&format!("{whole}.{}", "0".repeat(zeros)));
            prop_assert_eq!(plain, padded.map(Decimal::normal_form));
        }
    }
}
