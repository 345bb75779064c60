//! A row of the Costs table becomes the event that its category says.

use serde_json::{Value, json};

use super::decimal::Decimal;
use super::log::key;
use super::sections::Fields;
use super::when::When;
use super::{Context, CostType, Outcome, Parsed, leftovers};

/// Columns that the event itself holds, as written or beside what they were converted to.
const HELD: &[&str] = &["costtitle", "date", "data", "odo", "notes", "cost"];

/// Fuelio writes this day for "no reminder".
const NO_REMINDER: &str = "2011-01-01";

pub(super) fn cost(row: &Fields<'_>, context: &Context<'_>) -> Result<Outcome, String> {
    if row.get("istemplate").is_some_and(|flag| flag != "0") {
        return Ok(Outcome::Skipped("a template, not something that happened".into()));
    }
    if row.get("isincome").is_some_and(|flag| flag != "0") {
        return Ok(Outcome::Skipped("an income, not a cost".into()));
    }
    if is_reminder_alone(row) {
        return Ok(Outcome::Skipped("a reminder, not something that happened".into()));
    }
    let category = category(row, context);
    let kind = cost_type(&category, row, context);
    let name = match kind {
        CostType::Skip => {
            return Ok(Outcome::Skipped(format!("category \"{category}\" is left out")));
        }
        CostType::Maintenance => "maintenance",
        CostType::Inspection => "inspection",
        CostType::Insurance | CostType::Registration => "document",
        CostType::Expense => "expense",
    };
    let date = row.get("date").or(row.get("data")).ok_or("the date is empty")?;
    let when = When::parse(date, context.date_pattern.as_deref())
        .ok_or(format!("\"{date}\" is not a date"))?;
    let mut event = context.event(name, &when);
    // Fuelio writes 0 for a cost without an odometer reading.
    let odometer = row.get("odo").filter(|text| !is_zero(text));
    if let Some(odometer) = odometer {
        context.set_odometer(&mut event, odometer)?;
    }
    let amount = row.get("cost").ok_or("the cost is empty")?;
    context.set_amount(&mut event, amount)?;
    let title = row.get("costtitle");
    describe(&mut event.payload, kind, title, &category);
    event.notes = row.get("notes").map(str::to_string);
    if let Some(rest) = leftovers(row, HELD) {
        event.payload.insert("fuelio".into(), rest);
    }
    let key =
        key(&when, &[title, odometer, Some(amount), row.get("costtypeid"), row.get("uniqueid")]);
    let parsed = Parsed { event, when, key: format!("Costs\n{key}"), remarks: Vec::new() };
    Ok(Outcome::Event(Box::new(parsed)))
}

fn is_zero(text: &str) -> bool {
    Decimal::parse(text).is_some_and(Decimal::is_zero)
}

/// A row that only reminds: it cost nothing, names something to be reminded of, and either has no
/// reading or lies on the day of its own reminder.
fn is_reminder_alone(row: &Fields<'_>) -> bool {
    let day = |text: &str| text.get(..10).unwrap_or(text).to_string();
    let remind_date = row.get("reminddate").filter(|date| *date != NO_REMINDER);
    let reminds = remind_date.is_some() || row.get("remindodo").is_some_and(|odo| !is_zero(odo));
    let free = row.get("cost").is_none_or(is_zero);
    let own_day = remind_date.map(day) == row.get("date").map(day);
    reminds && free && (row.get("odo").is_none_or(is_zero) || own_day)
}

/// The category's name, or its number where the file has no name for it.
fn category(row: &Fields<'_>, context: &Context<'_>) -> String {
    let id = row.get("costtypeid").unwrap_or_default();
    context.cost_categories.get(id).cloned().unwrap_or_else(|| id.to_string())
}

/// The person's choice, else what the category's name says, else what its number means in a file
/// whose categories were renamed or translated.
fn cost_type(category: &str, row: &Fields<'_>, context: &Context<'_>) -> CostType {
    let id = row.get("costtypeid").unwrap_or_default();
    let choices = &context.options.categories;
    if let Some(chosen) = choices.get(id).or_else(|| choices.get(category)) {
        return *chosen;
    }
    let name = category.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if says(&["service", "maintenance", "repair", "oil", "tire", "tyre", "brake"]) {
        CostType::Maintenance
    } else if says(&["inspection", "technical", "emission", "smog"]) || name == "mot" {
        CostType::Inspection
    } else if says(&["insurance"]) {
        CostType::Insurance
    } else if says(&["registration", "vehicle tax", "road tax", "licen"]) {
        CostType::Registration
    } else {
        match id {
            "1" | "2" => CostType::Maintenance,
            "4" => CostType::Registration,
            "31" => CostType::Insurance,
            _ => CostType::Expense,
        }
    }
}

type Payload = serde_json::Map<String, Value>;

fn describe(payload: &mut Payload, kind: CostType, title: Option<&str>, category: &str) {
    let mut set = |key: &str, value: Value| drop(payload.insert(key.into(), value));
    let title_or_category = title.unwrap_or(category);
    match kind {
        CostType::Maintenance => set("kind", json!(maintenance_kind(title_or_category))),
        CostType::Inspection => set("inspection_type", json!(title_or_category)),
        CostType::Insurance => set("doc_type", json!("insurance")),
        CostType::Registration => set("doc_type", json!("registration")),
        CostType::Expense => set("expense_type", json!(category)),
        CostType::Skip => {}
    }
    if let Some(title) = title {
        set("summary", json!(title));
    }
}

/// The product's word for common work, else the person's own words.
fn maintenance_kind(title: &str) -> String {
    let lower = title.to_lowercase();
    let known = [("oil", "oil_change"), ("tire", "tires"), ("tyre", "tires"), ("brake", "brakes")];
    let word = known.iter().find(|(part, _)| lower.contains(part));
    word.map_or_else(|| title.to_string(), |(_, kind)| (*kind).to_string())
}
