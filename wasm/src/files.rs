//! Where a device's files are: a pool of OPFS handles in a directory of the device's own.

use sqlite_wasm_rs::WasmOsCallback;
use sqlite_wasm_vfs::sahpool::{OpfsSAHError, OpfsSAHPoolCfgBuilder, OpfsSAHPoolUtil, install};
use wasm_bindgen::JsValue;

use crate::failure::failure;

/// Two databases, the log of each, and room for what SQLite opens beside them for a moment.
const HANDLES: usize = 24;

/// Takes the handles of the directory `name`, as the SQLite file system of the same name.
///
/// # Errors
/// `already_open` when another tab or worker holds them, `unsupported` where there is no OPFS.
pub(crate) async fn take(name: &str) -> Result<OpfsSAHPoolUtil, JsValue> {
    let options = OpfsSAHPoolCfgBuilder::new()
        .vfs_name(name)
        .directory(name)
        .initial_capacity(HANDLES)
        .build();
    let pool = install::<WasmOsCallback>(&options, false).await.map_err(refused)?;
    pool.resume().await.map_err(refused)?;
    Ok(pool)
}

fn refused(error: OpfsSAHError) -> JsValue {
    let held = matches!(&error, OpfsSAHError::Opfs { message, .. }
        if message.starts_with("NoModificationAllowedError"));
    match error {
        _ if held => failure("already_open", "already open in another tab"),
        OpfsSAHError::NotSupported => failure("unsupported", &error),
        _ => failure("storage", &error),
    }
}
