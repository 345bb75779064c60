//! The units of Fuelio's columns and the exact factors between them and ours.

use super::decimal::Decimal;

/// Unit of the odometer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distance {
    Miles,
    Kilometres,
}

impl Distance {
    /// By the word in a column's name: `Odo (km)`.
    pub(super) fn named(word: &str) -> Option<Self> {
        match word {
            "mi" | "mile" | "miles" => Some(Self::Miles),
            "km" | "kilometers" | "kilometres" => Some(Self::Kilometres),
            _ => None,
        }
    }

    /// By `DistUnit` of the Vehicle table.
    pub(super) fn coded(code: &str) -> Option<Self> {
        match code {
            "0" => Some(Self::Kilometres),
            "1" => Some(Self::Miles),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Miles => "mi",
            Self::Kilometres => "km",
        }
    }

    /// Whole miles; an international mile is 1.609344 km.
    pub(super) fn miles(self, reading: Decimal) -> Option<i64> {
        match self {
            Self::Miles => reading.scaled(1, 1, 0),
            Self::Kilometres => reading.scaled(1_000_000, 1_609_344, 0),
        }
    }
}

/// Unit of what was filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Volume {
    Litres,
    UsGallons,
    UkGallons,
    /// Something that is not a volume: kWh, kg.
    Other(String),
}

/// Nanolitres of a US gallon and of an imperial one, by definition.
const US_GALLON_NL: i128 = 3_785_411_784;
const UK_GALLON_NL: i128 = 4_546_090_000;
const LITRE_NL: i128 = 1_000_000_000;

impl Volume {
    /// By the words in a column's name: `Fuel (us gallons)`.
    pub(super) fn named(words: &str) -> Self {
        let gallons = words.contains("gal");
        if gallons && (words.contains("uk") || words.contains("imp")) {
            Self::UkGallons
        } else if gallons {
            Self::UsGallons
        } else if ["l", "litre", "litres", "liter", "liters"].contains(&words) {
            Self::Litres
        } else {
            Self::Other(words.to_string())
        }
    }

    /// By `FuelUnit` of the Vehicle table.
    pub(super) fn coded(code: &str) -> Option<Self> {
        match code {
            "0" => Some(Self::Litres),
            "1" => Some(Self::UsGallons),
            "2" => Some(Self::UkGallons),
            _ => None,
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Litres => "l",
            Self::UsGallons => "us_gal",
            Self::UkGallons => "uk_gal",
            Self::Other(name) => name,
        }
    }

    fn nanolitres(&self) -> Option<i128> {
        match self {
            Self::Litres => Some(LITRE_NL),
            Self::UsGallons => Some(US_GALLON_NL),
            Self::UkGallons => Some(UK_GALLON_NL),
            Self::Other(_) => None,
        }
    }

    /// Thousandths of a US gallon.
    pub(super) fn milligallons(&self, quantity: Decimal) -> Option<i64> {
        quantity.scaled(self.nanolitres()?, US_GALLON_NL, 3)
    }

    /// Price of a US gallon in thousandths, from the price of one of this unit.
    pub(super) fn milliprice_per_gallon(&self, price: Decimal) -> Option<i64> {
        price.scaled(US_GALLON_NL, self.nanolitres()?, 3)
    }
}

/// Decimals of a currency's minor unit (ISO 4217); without a currency two.
pub(super) fn minor_decimals(currency: Option<&str>) -> u32 {
    match currency {
        Some(
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
            | "VND" | "VUV" | "XAF" | "XOF" | "XPF",
        ) => 0,
        Some("BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND") => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn lengths_and_volumes_by_their_definitions() {
        assert_eq!(Distance::Kilometres.miles(decimal("1.609344")), Some(1));
        assert_eq!(Distance::Kilometres.miles(decimal("100000")), Some(62_137));
        assert_eq!(Distance::Miles.miles(decimal("72000.5")), Some(72_001));
        assert_eq!(Volume::Litres.milligallons(decimal("3.785411784")), Some(1_000));
        assert_eq!(Volume::Litres.milligallons(decimal("33.04")), Some(8_728));
        assert_eq!(Volume::UkGallons.milligallons(decimal("10")), Some(12_009));
        assert_eq!(Volume::UsGallons.milligallons(decimal("11.8")), Some(11_800));
        assert_eq!(Volume::Litres.milliprice_per_gallon(decimal("1.54")), Some(5_830));
        assert_eq!(Volume::Other("kwh".into()).milligallons(decimal("40")), None);
    }

    #[test]
    fn a_currency_has_its_own_minor_unit() {
        assert_eq!(minor_decimals(None), 2);
        assert_eq!(minor_decimals(Some("JPY")), 0);
        assert_eq!(minor_decimals(Some("KWD")), 3);
    }
}
