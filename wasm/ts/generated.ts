// Made by core/examples/typescript.rs from the Rust types; changed there, not here.

/** Keys that the payload of any event may carry. */
export type CommonPayload = { source?: string; summary?: string; logged_by?: string; correction?: boolean; odometer_replaced?: boolean; confirmed_jump?: boolean; photos?: string[] }

/** The payload of every event type of this version. */
export interface Payloads {
  odometer: { display_type?: 'digital' | 'analog' | 'lcd'; reading_quality?: 'clear' | 'blurry' | 'partial'; original_value?: number; original_unit?: 'mi' | 'km' }
  fuel: { gallons?: number; price_per_gallon?: number; grade?: string; station?: string; station_address?: string; fuel_level_percent?: number; products?: Record<string, JsonValue>[]; payment_method?: string; pump_number?: string; transaction_id?: string; invoice_number?: string; trip_miles?: number; full_tank?: boolean; receipt_metadata?: Record<string, JsonValue> }
  maintenance: { kind?: string; line_items?: Record<string, JsonValue>[]; parts?: Record<string, JsonValue>[]; labor_minor?: number; warranty_months?: number; warranty_miles?: number; next_due_date?: string; next_due_miles?: number }
  damage: { description?: string; severity?: 'minor' | 'moderate' | 'major'; location_on_vehicle?: string; estimated_cost_minor?: number; repair_status?: 'pending' | 'in_progress' | 'completed'; insurance_claim?: boolean; police_report_number?: string }
  inspection: { inspection_type?: string; result?: 'pass' | 'fail' | 'conditional'; items_checked?: string[]; items_passed?: string[]; items_failed?: string[]; certificate_number?: string; expiration_date?: string; inspector?: string }
  document: { doc_type?: 'insurance' | 'registration' | 'invoice' | 'towing' | 'accident' | 'other'; fields?: Record<string, JsonValue>; expiration_date?: string }
  reminder: { kind?: string; due_date?: string; due_miles?: number }
  dashboard_snapshot: { odometer_miles?: number; fuel_eighths?: number; oil_life_percent?: number; coolant?: 'cold' | 'normal' | 'hot'; warning_lights?: string[]; trip_a_miles?: number; trip_b_miles?: number }
  dashboard_warning: { warning_lights?: string[]; severity?: 'low' | 'medium' | 'high' | 'critical'; error_codes?: string[]; resolved?: boolean }
  tire: { treads?: { fl?: number; fr?: number; rl?: number; rr?: number }; pressures?: { fl?: number; fr?: number; rl?: number; rr?: number }; condition?: string }
  trip: { trip_type?: 'business' | 'personal' | 'commute'; destination?: string; purpose?: string; distance_miles?: number; start_mileage?: number; end_mileage?: number; passengers?: number; route?: string }
  expense: { expense_type?: string; description?: string; tax_deductible?: boolean; receipt_number?: string }
  parking: { lot_name?: string; level?: string; spot_number?: string; reminder_time?: string }
  modification: { modification_type?: string; part_name?: string; brand?: string; installer?: string; warranty?: string; description?: string }
  recall: { recall_id?: string; nhtsa_number?: string; severity?: 'safety' | 'compliance' | 'info'; affected_component?: string; status?: 'open' | 'scheduled' | 'resolved'; manufacturer?: string; resolution_deadline?: string; description?: string }
  car_wash: { service_type?: string; services_included?: string[]; next_wash_date?: string }
  retraction: {  }
  restoration: {  }
}

/** The fields of the records of every collection. */
export interface Collections {
  profiles: {
    full_name?: string | null
    preferences?: Record<string, JsonValue> | null
  }
  garages: {
    name?: string | null
    address?: string | null
    lat?: number | null
    lng?: number | null
    timezone?: string | null
    is_default?: boolean | null
  }
  vehicles: {
    garage_id?: string | null
    year?: number | null
    make?: string | null
    model?: string | null
    trim?: string | null
    color?: string | null
    vin?: string | null
    license_plate?: string | null
    nickname?: string | null
    manufacturer_mpg?: number | null
    manufacturer_service_interval_miles?: number | null
    current_mileage_override?: number | null
    timezone?: string | null
    hero_photo?: string | null
  }
  reminders: {
    vehicle_id?: string | null
    garage_id?: string | null
    title?: string | null
    description?: string | null
    category?: 'registration' | 'inspection' | 'emissions' | 'maintenance' | 'other' | null
    priority?: 'low' | 'medium' | 'high' | null
    due_date?: string | null
    due_miles?: number | null
    status?: 'active' | 'completed' | 'dismissed' | null
  }
  user_maintenance_preferences: {
    user_id?: string | null
    vehicle_id?: string | null
    interval_type?: 'oil_change' | 'tire_rotation' | 'air_filter' | 'cabin_filter' | 'spark_plugs' | 'transmission_service' | 'brake_fluid_flush' | 'coolant_flush' | 'differential_service' | 'brake_inspection' | 'serpentine_belt' | 'timing_belt' | null
    interval_value?: number | null
    interval_unit?: 'miles' | 'months' | 'years' | null
    notes?: string | null
    source?: string | null
  }
  vehicle_spec_enhancements: {
    vehicle_id?: string | null
    category?: 'engine' | 'drivetrain' | 'dimensions' | 'fuel_economy' | 'safety' | 'features' | 'maintenance_intervals' | 'fluids_capacities' | 'tire_specifications' | null
    status?: 'pending' | 'processing' | 'completed' | 'failed' | null
    data?: JsonValue | null
    sources?: JsonValue | null
    confidence?: 'high' | 'medium' | 'low' | null
  }
  vehicle_images: {
    vehicle_id?: string | null
    photo?: string | null
    image_type?: 'hero' | 'front' | 'rear' | 'side_left' | 'side_right' | 'interior' | 'engine' | 'odometer' | 'damage' | 'maintenance' | 'general' | null
    caption?: string | null
    is_primary?: boolean | null
  }
  conversation_threads: {
    vehicle_id?: string | null
    user_id?: string | null
    title?: string | null
    archived?: boolean | null
  }
}

/** What an event does to the one that it names. */
export type Act = "corrects" | "retracts" | "restores";

/** A kind of change. */
export type Action = "create" | "edit" | "delete" | "restore" | "nothing";

/** An entry of the log that rests aside. */
export type Aside = {
  /** Its place in the log. */
  seq: number,
  /** Its record, as far as it says. */
  collection: string | null,
  /** Its record, as far as it says. */
  id: string | null,
  /** What is wrong with it; `None`: its collection is of a newer version. */
  damage: string | null
};

/** What is said of a photo on an event: that it is there, as which one, or that it is removed.
 *
 * Statements are facts and all kept; of each photo of an event the newest counts ([`attached`]).
 * Deleting the one never deletes the other. */
export type Attachment = {
  /** The event's vehicle. */
  vehicle_id: VehicleId,
  /** The event. */
  event_id: EventId,
  /** SHA-256 of the photo's original bytes. */
  photo: Hash,
  /** Place among the event's photos, from 1. Two may share one, added on two devices. */
  sequence: number,
  /** The step of the capture flow that it answers; several photos of one step are fine. */
  step_id?: string | null,
  /** The person chose it to stand for the event. */
  is_primary: boolean,
  /** The person's own words. */
  caption?: string | null,
  /** What the photo says about itself. The first statement about a photo has them, and they
   * count ([`facts`]). */
  facts?: PhotoFacts | null,
  /** The photo is taken off the event. Its bytes stay. */
  removed?: boolean,
  /** Why, in the person's words. */
  reason?: string | null
};

/** A fact to capture: an event without the parts that the device adds. */
export type Capture = {
  /** Made by the caller to make the call idempotent; by the device when absent. */
  op_id: OpId | null,
  /** The vehicle that the fact is about. */
  vehicle_id: VehicleId,
  /** A name from the registry. */
  type: string,
  /** When it happened, UTC ms. */
  occurred_at: number,
  /** The calendar day where it happened. */
  date: string,
  /** IANA name of the time zone where it happened. */
  timezone: string,
  /** Odometer, miles. */
  miles: number | null,
  /** Money, minor units. */
  total_minor: number | null,
  /** ISO 4217. */
  currency: string | null,
  /** Who sold or did it. */
  vendor: string | null,
  /** The person's own words. */
  notes: string | null,
  /** Keys of the type. */
  payload: { [key in string]: JsonValue },
  /** Where it was captured. */
  fix: Fix | null,
  /** Why there is no fix. */
  fix_absent: FixAbsence | null,
  /** The position in the photo that is captured with it; the device reads it from the photo. */
  photo_fix: Fix | null,
  /** Which of the two positions counts; the device decides where there are photos. */
  position: Decision | null,
  /** The capture session. */
  session_id: string | null,
  /** The event that this one corrects, retracts or restores. */
  corrects: EventId | null,
  /** Why it corrects, retracts or restores. */
  reason: string | null
};

/** How a photo was captured; all of it optional, told by the host. */
export type CaptureFacts = {
  /** The step of the capture flow, such as `odometer`. */
  step_id?: string | null,
  /** Taken now, or chosen among older ones. */
  capture_method?: CaptureMethod | null,
  /** 0..=100. Zero is a value. */
  quality_score?: number | null,
  /** What is wrong with the picture: blur, glare, too_dark, skewed, obstructed, missing_content … */
  quality_issues?: Array<string>,
  /** The flash. */
  flash?: Flash | null,
  /** The camera's side. */
  facing?: Facing | null,
  /** How often the person took it again before. */
  retake_count?: number | null,
  /** From the opened camera to the confirmed picture, ms. */
  capture_duration_ms?: number | null
};

/** Where a photo came from. */
export type CaptureMethod = "camera" | "upload" | string;

/** A capture that is durable on this device. */
export type Captured = {
  /** Its operation, and equally its event. */
  op_id: OpId,
  /** It had been captured before under this id; nothing was added. */
  duplicate: boolean,
  /** What is worth a second look. Never blocking. */
  warnings: Array<Warning>
};

/** A source of a position. */
export type Chosen = "gps" | "exif" | "both" | "unknown";

/** One of several values of a field. */
export type Competing = {
  /** The value; null where the field was cleared. */
  value: JsonValue,
  /** The person, where known. */
  user_id?: UserId | null,
  /** The device; absent for what was written on the server. */
  device_id?: DeviceId | null,
  /** When, UTC ms of the person's clock. */
  at: number
};

/** How far a position can be trusted. */
export type Confidence = "high" | "medium" | "low" | "none" | "unknown";

/** A field with several values, none of which was made by someone who had seen the others. */
export type Conflict = {
  /** The field; `preferences.units` for a key of an object. */
  field: string,
  /** The values, the one that is shown first. */
  values: Array<Competing>
};

/** How a person says where something happened. */
export type CorrectionMethod = "map_pin" | "nearby_search" | "manual_entry" | string;

/** What a person said of where an event happened. */
export type CorrectionShown = {
  /** What they said. */
  said: LocationCorrection,
  /** The operation; absent for another SQL client's. */
  op_id: OpId | null,
  /** Where it stands. A refused one changes nothing but is shown. */
  state: OpState,
  /** It is the one that counts. */
  counts: boolean,
  /** Who said it. */
  user_id: UserId | null,
  /** On which device. */
  device_id: DeviceId | null,
  /** When the server received it; for this device's own until then, when it was said. UTC ms. */
  said_at: number
};

/** What the last comparison found. */
export type CustodyReport = {
  /** When, UTC ms of the device clock. */
  compared_at: number,
  /** How many operations of this journal the server holds. */
  held: number,
  /** Operations that the server had accepted and does not hold any more; they go again. */
  offered_again: Array<OpId>,
  /** Photos of which the server lacks the original or the preview and this device has it; they go
   * again. */
  photos_again: Array<Hash>,
  /** Photos of which neither has the original. */
  photos_lost: Array<Hash>,
  /** The server's chain has another operation at its highest contiguous place than this journal:
   * a cloned phone, or damage on one side. */
  chains_differ: boolean
};

/** Which position an event has, and why. */
export type Decision = {
  /** The source whose position counts; `None` where there is none. */
  chosen: Chosen | null,
  /** How far it can be trusted. */
  confidence: Confidence,
  /** The rule that decided. */
  rule: Rule,
  /** The other source, where there is one. */
  alternate?: Chosen | null,
  /** How far apart the sources are, metres. */
  distance_m?: number | null,
  /** The person should say. */
  ask: boolean
};

/** One installation of the app for one user. */
export type DeviceId = string;

/** An edit that is durable on this device and shown. */
export type Edited = {
  /** The record. */
  record: RecordRef,
  /** The operation; `None` where nothing would have changed. */
  op_id: OpId | null,
  /** What is worth a second look, such as a VIN that this device knows of another vehicle.
   * Never blocking. */
  warnings: Array<Warning>
};

/** One captured fact. Zero is a value and distinct from absent in every field. */
export type Event = {
  /** Made on the device; equal to the id of the operation that captured it. */
  id: EventId,
  /** The vehicle that the fact is about. */
  vehicle_id: VehicleId,
  /** A name from [`registry::TYPES`], one of its aliases, or a newer peer's name, kept. */
  type: string,
  /** When it happened, UTC ms. */
  occurred_at: number,
  /** The calendar day where it happened. Given once, never derived again. */
  date: string,
  /** IANA name of the time zone where it happened. */
  timezone: string,
  /** Odometer, miles. */
  miles?: number | null,
  /** Money, integer minor units of [`Event::currency`]. */
  total_minor?: number | null,
  /** ISO 4217; absent means USD. */
  currency?: string | null,
  /** Who sold or did it. */
  vendor?: string | null,
  /** The person's own words. */
  notes?: string | null,
  /** Keys of the type; unknown ones are kept. */
  payload: { [key in string]: JsonValue },
  /** Where it was captured. */
  fix?: Fix | null,
  /** Why there is no fix. */
  fix_absent?: FixAbsence | null,
  /** The position in the photo that was captured with it. */
  photo_fix?: Fix | null,
  /** Which of the two positions counts and why, as decided at capture. */
  position?: Decision | null,
  /** The capture session it came from. */
  session_id?: string | null,
  /** The event that this one corrects, retracts or restores. */
  corrects?: EventId | null,
  /** Why it corrects, retracts or restores. */
  reason?: string | null
};

/** An event, and equally the operation that captured it: one identity from the shutter to the
 * server, so that capturing twice with one id is one capture. */
export type EventId = string;

/** An event as the server accepted it: the fact, and how it came to be known. */
export type EventRecord = {
  /** The fact, as captured. */
  event: Event,
  /** When the server received it, UTC ms. */
  received_at: number,
  /** The operation that brought it; absent where another SQL client wrote it. */
  op_id?: OpId | null,
  /** The device that captured it. */
  device_id?: DeviceId | null,
  /** Who captured it. */
  user_id?: UserId | null,
  /** The event that this one corrects, retracts or restores, as the server resolved it: the one it names,
   * or the one that took that one's place. */
  corrects?: EventId | null,
  /** What the server remarked. */
  flags?: Array<Flag>
};

/** How an address came about. Kept, never judged. */
export type Extraction = {
  /** `vision_structured`, `vision_ocr`, `geocoding`, `gps`, `manual`. */
  method: string,
  /** `high`, `medium`, `low`, `none`. */
  confidence?: string | null,
  /** The address as it was read. */
  address?: string | null
};

/** Which side of the device looked at it. */
export type Facing = "environment" | "user" | string;

/** The whole story of an event. */
export type Family = {
  /** The first event of the chain. */
  root: EventId,
  /** The one that counts, if one does. */
  counts: EventId | null,
  /** Everything that is known of it: the root, then by the server's sequence; this device's own
   * that have none yet come last. Refused ones are among them and take no part. */
  members: Array<FamilyMember>
};

/** One event of a [`Family`]. */
export type FamilyMember = {
  /** The event, as in a list; the whole record is in it. */
  entry: TimelineEntry,
  /** What it does to the event that it names. */
  act: Act,
  /** Its newest retraction or restoration is a retraction. */
  retracted: boolean,
  /** It is the one that counts. */
  counts: boolean,
  /** Who said it, where that is known. */
  user_id: UserId | null,
  /** The device it was said on. */
  device_id: DeviceId | null,
  /** When the server received it; for this device's own until then, when it was said. UTC ms. */
  said_at: number,
  /** Why. */
  reason: string | null
};

/** What becomes of a field. */
export type FieldEdit = { "set": JsonValue } | { "text": TextEdit } | { "keys": { [key in string]: JsonValue } };

/** A measured position (WGS84). */
export type Fix = {
  /** Degrees, −90..=90. Zero is a value. */
  latitude: number,
  /** Degrees, −180..=180. Zero is a value. */
  longitude: number,
  /** 68 % radius, metres. */
  accuracy_m?: number | null,
  /** Above the WGS84 ellipsoid, metres. */
  altitude_m?: number | null,
  /** 68 % interval of the altitude, metres. */
  altitude_accuracy_m?: number | null,
  /** Degrees clockwise from true north, 0..=360. */
  heading_deg?: number | null,
  /** Metres per second. */
  speed_mps?: number | null,
  /** When the position was measured, UTC ms. */
  fixed_at?: number | null,
  /** Where the position comes from. */
  source: FixSource,
  /** The system said that another app invented this position. */
  is_mock?: boolean | null,
  /** Age of the fix at the shutter, ms. */
  age_ms?: number | null
};

/** Why a capture carries no [`Fix`]. */
export type FixAbsence = "permission_denied" | "position_unavailable" | "timeout" | "not_supported" | string;

/** Where a [`Fix`] comes from. */
export type FixSource = "gps" | "network" | "fused" | "exif" | "manual" | "vision" | "cached" | string;

/** A remark of the server on an accepted event. Informs, never refuses. */
export type Flag = "clock_ahead" | string;

/** [`PhotoFlags`], to be written out. */
export type FlagsShown = {
  /** A picture of a screen. */
  screenshot: boolean,
  /** Written again after it was taken. */
  edited: boolean,
  /** Taken more than seven days before. */
  stale: boolean
};

/** How the flash was set. */
export type Flash = "auto" | "on" | "off" | string;

/** A garage. */
export type Garage = {
  /** Its id. */
  id: GarageId,
  /** 1 to 100 characters. */
  name: string,
  /** Postal address. */
  address?: string | null,
  /** Degrees. */
  lat?: number | null,
  /** Degrees. */
  lng?: number | null,
  /** IANA time zone. */
  timezone?: string | null,
  /** The tenant's default garage. */
  is_default: boolean,
  /** When it was deleted, UTC ms; absent while it is live. */
  deleted_at?: number | null
};

/** A garage: where vehicles live. */
export type GarageId = string;

/** A SHA-256, as 64 lower-case hexadecimal digits on the wire. */
export type Hash = string;

/** What is to be done if a superseded operation has been accepted after all. */
export type Instead = {
  /** The superseded operation. */
  op_id: OpId,
  /** The kind of change. */
  action: Action,
  /** Field by field. */
  patch?: { [key in string]: FieldEdit },
  /** Where the vehicles of a deleted garage go; absent: to none. */
  reassign_to?: string | null
};

export type JsonValue = number | string | boolean | Array<JsonValue> | { [key in string]: JsonValue } | null;

/** Why a session was left. */
export type Left = "back_button" | "closed_tab" | "timeout" | "navigation" | string;

/** A person says where an event happened. A fact of its own, beside what was measured. */
export type LocationCorrection = {
  /** The event's vehicle. */
  vehicle_id: VehicleId,
  /** The event. */
  event_id: EventId,
  /** What had been measured, as the person saw it; absent where nothing was. */
  measured?: Fix | null,
  /** Degrees, −90..=90. Zero is a value. */
  latitude: number,
  /** Degrees, −180..=180. Zero is a value. */
  longitude: number,
  /** The place in words. */
  address?: string | null,
  /** How the person said it. */
  method: CorrectionMethod,
  /** Why, in the person's words. */
  reason?: string | null,
  /** From [`LocationCorrection::measured`] to the corrected position, metres, to 0.01 m; absent
   * where nothing was measured. */
  distance_m?: number | null,
  /** How the address was found: method and confidence, as the app knows them. */
  extraction?: Extraction | null,
  /** The person takes back what was said of the place; the measured one counts again. */
  withdrawn?: boolean
};

/** Where a person says that an event happened. */
export type LocationSaid = {
  /** Degrees, −90..=90. */
  latitude: number,
  /** Degrees, −180..=180. */
  longitude: number,
  /** How they said it. */
  method: CorrectionMethod,
  /** The place in words. */
  address: string | null,
  /** Why. */
  reason: string | null,
  /** How the address came about. */
  extraction: Extraction | null
};

/** What became of a refused creation that is the same as an existing record. */
export type Moved = {
  /** Operations of the refused record that were taken back, since the existing one says all
   * that they said, or cannot ([`Moved::typed`]). */
  closed: Array<OpId>,
  /** The creation, edits of it, and captures and edits that spoke of it; and what speaks of the
   * existing record instead. */
  moved: { [key in OpId]: OpId },
  /** The edit that adds to the existing record's texts. */
  filled: OpId | null,
  /** What was typed for the refused record where the existing one says something else. */
  typed: Array<Typed>
};

/** The neighbour that a reading contradicts. */
export type Neighbour = {
  /** The neighbouring event. */
  event_id: EventId,
  /** Its reading, miles. */
  miles: number,
  /** When it was read, UTC ms. */
  at: number
};

/** An operation: the unit of sync. */
export type OpId = string;

/** Where an operation stands, as a person sees it. */
export type OpState = "queued" | "sending" | "accepted" | "rejected" | "waiting" | "superseded";

/** An earlier change of the same text. */
export type Over = {
  /** The operation that made it. */
  op_id: OpId,
  /** What it changed. */
  splices: Array<Splice>
};

/** Where a page ended. */
export type PageKey = {
  /** Time of the last entry, UTC ms. */
  occurred_at: number,
  /** Id of the last entry. */
  event_id: EventId
};

/** How a person goes through a flow. */
export type Path = "quick" | "guided" | string;

/** A capture that the server does not have yet, or has refused. */
export type PendingItem = {
  /** Its operation. */
  op_id: OpId,
  /** Where it stands. */
  state: OpState,
  /** Device clock at capture, UTC ms. */
  captured_at: number,
  /** Age by the device clock, ms; never negative. */
  age_ms: number,
  /** Size of the sealed text, bytes. */
  bytes: number,
  /** How often the server has refused or deferred it. */
  attempts: number,
  /** When it will be offered again by itself, UTC ms, if it rests. */
  retry_at: number | null,
  /** Why it was refused. */
  reason: Rejection | null,
  /** The operation whose place it takes. */
  supersedes: OpId | null,
  /** What was captured. */
  event: Event | null,
  /** What was changed of a record. */
  change: RecordIntent | null,
  /** What was said of a photo on an event. */
  photo: Attachment | null,
  /** Where an event was said to have happened. */
  location: LocationCorrection | null,
  /** The capture session that is over. */
  session: Session | null
};

/** What to say anew of a photo on an event; what is absent stays. */
export type PhotoEdit = {
  /** The person's words; an empty text clears them. */
  caption: string | null,
  /** Its place among the event's photos, from 1. */
  sequence: number | null,
  /** Whether the person chose it to stand for the event. */
  is_primary: boolean | null
};

/** What is known of one photo. */
export type PhotoFacts = {
  /** Of the original bytes, before any resizing: the photo's identity. */
  sha256: Hash,
  /** The original, bytes. */
  size: number,
  /** By its first bytes. */
  mime: PhotoMime,
  /** As stored, before [`PhotoFacts::orientation`], pixels; absent in a truncated file. */
  width?: number | null,
  /** As stored, before [`PhotoFacts::orientation`], pixels; absent in a truncated file. */
  height?: number | null,
  /** EXIF's 1..=8: how to turn the stored picture for looking at it. */
  orientation?: number | null,
  /** DateTimeOriginal, else DateTime, else DateTimeDigitized. */
  taken_at?: PhotoTime | null,
  /** DateTime: when a program last wrote the picture. */
  modified_at?: PhotoTime | null,
  /** The EXIF position, with source `exif`. */
  position?: Fix | null,
  /** Who made the camera. */
  make?: string | null,
  /** The camera's model. */
  model?: string | null,
  /** The program or firmware that wrote the file. */
  software?: string | null,
  /** What the device knew at the shutter. */
  capture?: CaptureFacts
};

/** What the host knows of a photo. */
export type PhotoMeta = {
  /** The media type as the system says; held against the bytes. */
  mime: string | null,
  /** How many bytes will come; held against what came. */
  size: number | null,
  /** How it was captured. */
  capture: CaptureFacts,
  /** The person's own words. */
  caption: string | null,
  /** The person chose it to stand for the event. */
  is_primary: boolean,
  /** Its place among the event's photos, from 1; after the last one when absent. In a session
   * photos stand in the order in which they were taken. */
  sequence: number | null,
  /** How much room there is; not judged when absent. */
  room: Room | null
};

/** A kind of picture that is accepted as a photo. */
export type PhotoMime = "image/jpeg" | "image/png" | "image/webp" | "image/heic" | "image/heif";

/** What could not be read of a photo that is kept all the same. */
export type PhotoNote = "truncated" | "malformed" | "no_dimensions" | "exif_cut" | "exif_damaged" | "exif_missed";

/** A photo on an event, as everyone shows it. */
export type PhotoShown = {
  /** SHA-256 of the original's bytes. */
  photo: Hash,
  /** The operation of the newest statement about it; absent for another SQL client's. */
  op_id: OpId | null,
  /** Where that operation stands. A refused one changes nothing but is shown. */
  state: OpState,
  /** Its place among the event's photos, from 1. */
  sequence: number,
  /** The step of the flow that it answers. */
  step_id: string | null,
  /** The person's words. */
  caption: string | null,
  /** Whether it stands for the event. */
  is_primary: boolean,
  /** What it says about itself. */
  facts: PhotoFacts | null,
  /** What a person should know of it, as it was when it was put on the event. */
  flags: FlagsShown | null,
  /** Who said the newest of it. */
  user_id: UserId | null,
  /** On which device. */
  device_id: DeviceId | null,
  /** When the server received it; for this device's own until then, when it was said. UTC ms. */
  said_at: number,
  /** Where the original's bytes are. */
  original: Whereabouts,
  /** Where the preview's bytes are. */
  preview: Whereabouts,
  /** Why this device has made no preview. */
  preview_absent: PreviewAbsence | null
};

/** What a camera's clock showed. Without an offset it stays a local time: no zone is invented.
 *
 * On the wire `2024-05-02T10:11:12.345` or, with an offset, `2024-05-02T10:11:12.345-06:00`;
 * milliseconds only where the camera gives them. */
export type PhotoTime = string;

/** Where an event happened. */
export type Place = {
  /** Degrees. */
  latitude: number,
  /** Degrees. */
  longitude: number,
  /** 68 % radius of a measured one, metres. */
  accuracy_m?: number | null,
  /** The place in words, where a person said so. */
  address?: string | null,
  /** Where this is known from. */
  from: PlaceFrom
};

/** Where a [`Place`] is known from. */
export type PlaceFrom = "fix" | "photo" | "correction";

/** What is known of where an event happened. */
export type PlaceShown = {
  /** As everyone shows it. */
  place: Place | null,
  /** As it was measured. */
  measured: Place | null,
  /** Which source was chosen at capture, by which rule, and whether the person should say. */
  decision: Decision | null,
  /** What people said, the oldest first. */
  corrections: Array<CorrectionShown>
};

/** Why there is no preview of a photo. */
export type PreviewAbsence = "heic" | "too_large" | "damaged" | "no_decoder" | string;

/** A field of a record with competing values. */
export type RecordConflict = {
  /** The record. */
  record: RecordRef,
  /** What lists call it. */
  label: string,
  /** The field; `preferences.units` for a key of an object. */
  field: string,
  /** The values, the one that is shown first. */
  values: Array<Competing>
};

/** A record's row as far as lists show it. */
export type RecordEntry = {
  /** Its id. */
  id: string,
  /** What lists call it. */
  label: string,
  /** Its fields that have a value. */
  fields: { [key in string]: JsonValue },
  /** When it was deleted, UTC ms. */
  deleted_at: number | null,
  /** Whether what is shown is agreed. */
  state: RecordState,
  /** Own edits that the server has refused; they are not shown. */
  refused: number,
  /** Fields with competing values. */
  conflicts: number
};

/** The body of an operation on a record. */
export type RecordIntent = {
  /** The name of its [`super::Collection`]. */
  collection: string,
  /** The record. */
  record_id: string,
  /** The heads of the agreed document that the person saw; none for a creation. */
  heads?: Array<Hash>,
  /** What is to be done instead if an operation that this one supersedes has been accepted. */
  instead?: Array<Instead>,
  /** The kind of change. */
  action: Action,
  /** Field by field. */
  patch?: { [key in string]: FieldEdit },
  /** Where the vehicles of a deleted garage go; absent: to none. */
  reassign_to?: string | null
};

/** Names a record. */
export type RecordRef = {
  /** The name of its collection. */
  collection: string,
  /** Its id. */
  id: string
};

/** Whether what is shown of a record is agreed with the server. */
export type RecordState = "agreed" | "pending" | "refused";

/** A record with everything that this device knows of it. */
export type RecordView = {
  /** The record. */
  record: RecordRef,
  /** Its fields that have a value, own edits included. */
  fields: { [key in string]: JsonValue },
  /** Its fields as agreed with the server; `None` where it has none of it yet. */
  agreed: { [key in string]: JsonValue } | null,
  /** When it was deleted, UTC ms. */
  deleted_at: number | null,
  /** Fields with competing values. */
  conflicting: Array<Conflict>,
  /** Own operations on it that the server has refused, oldest first, with the reason. */
  refusals: Array<[OpId, Rejection]>,
  /** Entries of the server's log on it that could not be read; what they say is not shown. */
  aside: Array<Aside>,
  /** Whether what is shown is agreed. */
  state: RecordState,
  /** Own edits that the server has refused; they are not shown. */
  refused: number,
  /** Fields with competing values. */
  conflicts: number
};

/** Why an operation was refused. */
export type Rejection = {
  /** A stable name from [`crate::code`]. */
  code: string,
  /** The field to mend, where one is to blame. */
  field?: string | null,
  /** A sentence for people. */
  message: string,
  /** The contradicted reading, for `odometer_out_of_order`. */
  neighbour?: Neighbour | null,
  /** The record that has what this one claims, for codes such as `vin_taken`; with the field
   * `supersedes`, the operation that is someone else's. */
  taken_by?: string | null,
  /** Everything that is wrong, where it is more than one thing. */
  violations?: Array<Violation>
};

/** One change of a record. */
export type Revision = {
  /** The change. */
  hash: Hash,
  /** Fields that it changed and their values after it; null where it cleared one. */
  fields: { [key in string]: JsonValue },
  /** The person, where known. */
  user_id?: UserId | null,
  /** The device; absent for what was written on the server. */
  device_id?: DeviceId | null,
  /** When, UTC ms of the person's clock. */
  at: number
};

/** How much room the host has, as it says. */
export type Room = {
  /** Free for this app: of the disk, or of the browser's quota. Bytes. */
  free_bytes: number
};

/** The rules, in the order in which they are tried (DOMAIN "Location · Deciding the position"). */
export type Rule = "no_source" | "fresh_photo" | "same_place" | "conflict" | "old_photo" | "old_receipt" | "otherwise" | "unknown";

/** One person photographing for one event. Its photos survive a crash with it. */
export type Session = {
  /** Made on the device. */
  id: string,
  /** The vehicle. */
  vehicle_id: VehicleId,
  /** A name from [`FLOWS`], or a newer peer's, kept. */
  flow: string,
  /** One shot or step by step. */
  path: Path,
  /** When it began, UTC ms. */
  started_at: number,
  /** When the person last did something, UTC ms; never goes back. */
  last_activity_at: number,
  /** The step that the person is at. */
  current_step?: string | null,
  /** Every photo, also those that a later one of the same step took the place of. */
  photos: Array<SessionPhoto>,
  /** The abandoned session whose photos it took along. */
  resumes?: string | null,
  /** Where it stands. */
  standing: Standing
};

/** A photo of a session. */
export type SessionPhoto = {
  /** SHA-256 of the original's bytes. */
  photo: Hash,
  /** The step that it answers; absent on the quick path. */
  step_id?: string | null,
  /** When it joined the session, UTC ms. */
  added_at: number
};

/** What takes space, bytes. */
export type SpaceReport = {
  /** The journal's file. */
  journal: number,
  /** The mirror's file. */
  mirror: number,
  /** Of both, what is empty and will be used again. */
  empty: number,
  /** Originals and previews that the server does not have. They stay. */
  photos_unsent: number,
  /** Originals that the server has: they may be freed, and can be fetched again. */
  photos_stored: number,
  /** Photos of sessions that were left; the person decides. */
  photos_of_sessions: number,
  /** Pictures that came from the server: they may be freed, and can be fetched again. */
  cached: number
};

/** Characters taken out and put in at one place. Places of one list count in the text before any
 * of it, ascend and do not overlap. */
export type Splice = {
  /** Unicode scalar values before it. */
  at: number,
  /** Unicode scalar values taken out. */
  delete?: number,
  /** What is put in. */
  insert?: string
};

/** Where a session stands. */
export type Standing = { "status": "active" } | { "status": "completed",
/** The event. */
event_id: EventId,
/** When, UTC ms. */
completed_at: number
} | { "status": "abandoned",
/** The step at which it was left; absent before the first. */
abandoned_at_step?: string | null,
/** Why. */
reason: Left,
/** When, UTC ms; after a timeout, 30 minutes past the last activity. */
abandoned_at: number
};

/** The whole of syncing at a glance. */
export type Status = {
  /** Captures that the server does not have: queued, sending and waiting. */
  unsent: number,
  /** Captures that it has refused; a person must act. */
  refused: number,
  /** Sealed bytes of both. */
  bytes: number,
  /** Age of the oldest of both by the device clock, ms. */
  oldest_age_ms: number | null,
  /** Pictures that the server does not have. */
  pictures_unsent: number,
  /** What of them it has not acknowledged, bytes. */
  picture_bytes: number,
  /** Pictures that it has refused; see [`Device::uploads`]. */
  pictures_refused: number,
  /** Why syncing has stopped, if it has. */
  blocked: string | null,
  /** What went wrong last, until something succeeds. */
  last_problem: string | null,
  /** When the server last answered, device clock, UTC ms. */
  last_success_at: number | null,
  /** Requests are in flight. */
  in_flight: boolean,
  /** Sequence of the mirror. */
  seq: number,
  /** The server's newest sequence when last heard of. */
  head: number,
  /** Server clock minus device clock, ms. */
  clock_offset_ms: number | null
};

/** Changes of a text. */
export type TextEdit = {
  /** What the person changed, in the text that they saw. */
  splices: Array<Splice>,
  /** What they had changed before, oldest first, without knowing whether it is accepted. Each
   * counts in the text with those before it; the first in the text of the agreed document. */
  over?: Array<Over>
};

/** One event as shown in a list. The whole record is a call away: [`TimelineEntry::record`]. */
export type TimelineEntry = {
  /** The event. */
  event_id: EventId,
  /** Its vehicle. */
  vehicle_id: VehicleId,
  /** Canonical type. */
  type: string,
  /** UTC ms. */
  occurred_at: number,
  /** Local calendar day, `YYYY-MM-DD`. */
  date: string,
  /** Odometer, miles. */
  miles: number | null,
  /** The server's sequence, once it has one here. */
  seq: number | null,
  /** Where its operation stands; `accepted` for what others captured. */
  state: OpState,
  /** The event it corrects, retracts or restores. */
  corrects: EventId | null,
  /** Corrected or retracted. */
  hidden: boolean,
  /** How many photos are on it; [`crate::Device::photos`] tells of them. */
  photos: number,
  /** Where it happened, as everyone shows it; [`crate::Device::place`] tells what is known. */
  place: Place | null,
  /** [`EventRecord`] as JSON. */
  record_json: string
};

/** A page of the timeline. */
export type TimelinePage = {
  /** Newest first. */
  entries: Array<TimelineEntry>,
  /** Where to go on; `None` at the end. */
  next: PageKey | null
};

/** Which part of the timeline to show. Newest first. */
export type TimelineQuery = {
  /** One vehicle, or all. */
  vehicle: VehicleId | null,
  /** One event type (canonical name), or all. */
  kind: string | null,
  /** First calendar day, included. */
  from: string | null,
  /** Last calendar day, included. */
  to: string | null,
  /** Continue after this entry. */
  before: PageKey | null,
  /** Entries per page, 1 to 500; 0 means 50. */
  limit: number,
  /** Also what was corrected or retracted, and the retractions and restorations. */
  include_hidden: boolean
};

/** What may be transferred when. Operations always may: they are a few hundred bytes. */
export type TransferPolicy = {
  /** Previews on their way up. */
  previews: When,
  /** Originals on their way up. */
  originals: When,
  /** Previews of other people's photos on their way down. */
  fetched_previews: When,
  /** How many bytes of pictures may go up over a metered network until the policy is set again;
   * `None`: as many as there are. */
  metered_budget: number | null,
  /** The host moves originals by itself, as a phone's system does while the app is suspended:
   * they become [`UploadPlan`](super::UploadPlan)s. */
  originals_by_host: boolean
};

/** A value that was typed for a refused record that is the same as an existing one. */
export type Typed = {
  /** The field; `preferences.units` for a key of an object. */
  field: string,
  /** What was typed. */
  value: JsonValue,
  /** What the existing record says; null where it says nothing. */
  existing: JsonValue,
  /** Whether the existing record has it too: as a competing value, to choose from in
   * [`Device::conflicts`]; a text behind its own. Where not, this and the journal are the only
   * places that have it: the record cannot take it, or this device had changed the record after
   * it saw what it says, so that the server would take it for a choice. */
  kept: boolean
};

/** A picture on its way up, as a person sees it. */
export type UploadItem = {
  /** SHA-256 of the photo's original. */
  photo: Hash,
  /** Which picture of it. */
  variant: Variant,
  /** SHA-256 of what goes up. */
  sha256: Hash,
  /** Its size, bytes. */
  bytes: number,
  /** What the server has acknowledged of it, bytes. */
  acked: number,
  /** What was sent for it, again and again, bytes. */
  sent: number,
  /** Where it stands. */
  state: UploadState,
  /** What the server said last, where it refused. */
  problem: string | null,
  /** When it is offered again by itself, UTC ms. */
  retry_at: number | null
};

/** One request that the host's system can make by itself, hours later, without a token. */
export type UploadPlan = {
  /** SHA-256 of what goes up: what [`Device::write_blob`] writes. */
  sha256: Hash,
  /** SHA-256 of the photo's original. */
  photo: Hash,
  /** Which picture of it. */
  variant: Variant,
  /** `PATCH`. */
  method: string,
  /** Below the server's address. */
  path: string,
  /** With the upload's own capability; names in lower case. */
  headers: Array<[string, string]>,
  /** Where in the picture the body begins, bytes. */
  offset: number,
  /** Of the whole, bytes. */
  bytes: number,
  /** When the capability ends, UTC ms of the server's clock. */
  expires_at: number | null
};

/** Where a picture stands on its way up. */
export type UploadState = "queued" | "sending" | "planned" | "stored" | "refused";

/** A person within a tenant: the `sub` of their token. */
export type UserId = string;

/** Which picture of a photo. */
export type Variant = "preview" | "original";

/** A vehicle. */
export type Vehicle = {
  /** Its id. */
  id: VehicleId,
  /** Where it lives. */
  garage_id?: GarageId | null,
  /** Model year, 1900 to next year + 1. */
  year?: number | null,
  /** Manufacturer. */
  make?: string | null,
  /** Model. */
  model?: string | null,
  /** Trim level. */
  trim?: string | null,
  /** Colour. */
  color?: string | null,
  /** 17 characters of A–Z and 0–9 without I, O, Q. */
  vin?: string | null,
  /** Licence plate. */
  license_plate?: string | null,
  /** What its people call it. */
  nickname?: string | null,
  /** Combined fuel economy by the manufacturer, miles per US gallon. */
  manufacturer_mpg?: number | null,
  /** Service interval by the manufacturer, miles. */
  manufacturer_service_interval_miles?: number | null,
  /** Wins over the mileage computed from events. */
  current_mileage_override?: number | null,
  /** IANA time zone where it usually is. */
  timezone?: string | null,
  /** When it was deleted, UTC ms; absent while it is live. */
  deleted_at?: number | null
};

/** A vehicle with what its timeline says of it. */
export type VehicleEntry = {
  /** The row. */
  vehicle: Vehicle,
  /** As shown. */
  name: string,
  /** Current mileage: the override, else the newest effective reading of any type. */
  miles: number | null,
  /** Where it was last, by the newest event that says so. */
  last_place: Place | null,
  /** Its captures and edits that the server does not have yet. */
  pending: number,
  /** Whether what is shown is agreed. */
  state: RecordState,
  /** Own edits that the server has refused; they are not shown. */
  refused: number,
  /** Fields with competing values. */
  conflicts: number
};

/** A vehicle. */
export type VehicleId = string;

/** One thing that must be mended before an event can be accepted. */
export type Violation = {
  /** Path of the field, such as `miles`, `payload.gallons`, `fix.latitude`. */
  field: string,
  /** A stable name from [`code`], for programs. */
  code: string,
  /** A sentence for people. */
  message: string
};

/** Something worth a look before saving. Shown, never blocking. */
export type Warning = {
  /** Path of the field. */
  field: string,
  /** A stable name, for programs. */
  code: string,
  /** A sentence for people. */
  message: string
};

/** Over which network something may go. */
export type When = "always" | "unmetered" | "paused";

/** Where the bytes of a picture are. */
export type Whereabouts = {
  /** What names them, where it is known. */
  sha256: Hash | null,
  /** On this device, whether taken here or fetched. */
  here: boolean,
  /** On the server, verified. */
  on_server: boolean,
  /** Their way up from this device, if they have one. */
  upload: UploadState | null,
  /** What the server has acknowledged of them, bytes. */
  acked: number,
  /** The whole, bytes, where it is known here. */
  bytes: number | null
};

