//! The log, for anybody to check.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use credence_credit::ActId;
use serde::Serialize;
use utoipa::ToSchema;

use super::Platform;
use super::door::{Refused, absent};
use crate::keys::{hex, unhex};

/// That an act stands in the log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Inclusion {
    /// Its place.
    place: u64,
    /// Of how many entries the root is.
    size: u64,
    /// The root, in hexadecimal digits as all hashes here.
    root: String,
    /// The bytes that the log hashes for it: when it was accepted, and its identity.
    leaf: String,
    /// The hashes from the leaf to the root (RFC 6962, section 2.1.1).
    path: Vec<String>,
}

/// That a longer log begins with a shorter one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Consistency {
    /// How many entries the shorter one has.
    before: u64,
    /// Its root.
    before_root: String,
    /// How many entries the longer one has.
    size: u64,
    /// Its root.
    root: String,
    /// The hashes of the proof (RFC 6962, section 2.1.2).
    path: Vec<String>,
}

fn digits(hashes: &[[u8; 32]]) -> Vec<String> {
    hashes.iter().map(|hash| hex(hash)).collect()
}

/// The newest checkpoint
///
/// A signed note (c2sp.org/signed-note) with the log's name, size and root (c2sp.org/tlog-checkpoint).
#[utoipa::path(
    get,
    path = "/log/checkpoint",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(super) async fn checkpoint(State(platform): State<Arc<Platform>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], platform.checkpoint().1).into_response()
}

/// A tile of the log's hashes
///
/// As in c2sp.org/tlog-tiles: `tile/0/000`, or `tile/0/001.p/44` for one that is not full yet.
#[utoipa::path(
    get,
    path = "/log/{*tile}",
    params(("tile" = String, Path, description = "The tile's path, whose slashes are written as they are")),
    responses((status = 200, body = [u8], content_type = "application/octet-stream"), (status = 404, body = Refused)),
)]
pub(super) async fn tile(State(platform): State<Arc<Platform>>, Path(path): Path<String>) -> Response {
    let tile = platform.read(|desk| desk.log().tile(&path));
    tile.map_or_else(absent, |tile| ([(CONTENT_TYPE, "application/octet-stream")], tile).into_response())
}

/// The proof that a public act stands in the log
#[utoipa::path(
    get,
    path = "/log/proof/{id}",
    params(("id" = String, Path, description = "The act's identity: 64 hexadecimal digits")),
    responses((status = 200, body = Inclusion), (status = 404, body = Refused)),
)]
pub(super) async fn proof(State(platform): State<Arc<Platform>>, Path(id): Path<String>) -> Response {
    let proof = platform.read(|desk| {
        let receipt = desk.receipt(&unhex(&id).map(ActId)?)?;
        desk.public(&receipt.id)?;
        let (log, (size, _)) = (desk.log(), platform.checkpoint());
        Some(Inclusion {
            place: receipt.place,
            size,
            root: hex(&log.root(size)?),
            leaf: hex(&log.leaf(receipt.place)?.bytes()),
            path: digits(&log.inclusion(receipt.place, size)?),
        })
    });
    proof.map_or_else(absent, |proof| Json(proof).into_response())
}

/// The proof that the log of a size begins with what it was at a smaller one
#[utoipa::path(
    get,
    path = "/log/consistency/{before}/{size}",
    params(
        ("before" = u64, Path, description = "How many entries the log had; at least one"),
        ("size" = u64, Path, description = "How many it has; at most those of the newest checkpoint"),
    ),
    responses((status = 200, body = Consistency), (status = 404, body = Refused)),
)]
pub(super) async fn consistency(
    State(platform): State<Arc<Platform>>,
    Path((before, size)): Path<(u64, u64)>,
) -> Response {
    let (published, _) = platform.checkpoint();
    let proof = platform.read(|desk| {
        let log = desk.log();
        let path = log.consistency(before, size).filter(|_| size <= published)?;
        let (before_root, root) = (hex(&log.root(before)?), hex(&log.root(size)?));
        Some(Consistency { before, before_root, size, root, path: digits(&path) })
    });
    proof.map_or_else(absent, |proof| Json(proof).into_response())
}
