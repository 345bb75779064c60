//! What happened to every row of a file.

/// What happened to every row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How the file names its vehicle, so that a person can see whether it is the right one.
    pub vehicle: FileVehicle,
    /// Rows that became events.
    pub imported: usize,
    /// Rows left out on purpose: reminders, templates, income, unwanted categories.
    pub skipped: Vec<RowNote>,
    /// Rows that could not be read, and why.
    pub refused: Vec<RowNote>,
    /// Rows that became events with something left out.
    pub remarks: Vec<RowNote>,
    /// Tables without events in them, and how many rows each has.
    pub ignored: Vec<(String, usize)>,
}

/// The file's own description of its vehicle. Texts as written; empty where the file says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileVehicle {
    /// What its people call it.
    pub name: String,
    /// Manufacturer.
    pub make: String,
    /// Model.
    pub model: String,
    /// Model year.
    pub year: String,
    /// Licence plate.
    pub plate: String,
    /// Vehicle identification number.
    pub vin: String,
}

/// A row and a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowNote {
    /// 1-based line of the file at which the row begins.
    pub line: u64,
    /// The table it stands in, such as `Log`.
    pub section: String,
    /// A sentence for people.
    pub reason: String,
}
