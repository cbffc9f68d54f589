//! The log, for anybody to check.

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use credence_credit::ActId;
use credence_law::Refusal;
use serde::Serialize;
use signed_note::Note;
use tlog_tiles::Checkpoint;
use utoipa::ToSchema;

use super::Platform;
use super::door::{Refused, absent};
use crate::keys::{hex, unhex};
use crate::log::Log;
use credence_feed::witness::{Cosignature, cosignatures};

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
/// A signed note (c2sp.org/signed-note) with the log's name, size and root (c2sp.org/tlog-checkpoint), and with the lines of
/// witnesses that have seen just that one.
#[utoipa::path(
    get,
    path = "/log/checkpoint",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(super) async fn checkpoint(State(platform): State<Arc<Platform>>) -> Response {
    let (size, checkpoint) = platform.checkpoint();
    note(&[checkpoint, platform.lines(size)].concat())
}

/// The newest checkpoint that a witness has seen
///
/// With the lines of all who have seen it (c2sp.org/tlog-cosignature).
#[utoipa::path(
    get,
    path = "/log/checkpoint/witnessed",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404, body = Refused)),
)]
pub(super) async fn witnessed(State(platform): State<Arc<Platform>>) -> Response {
    platform.witnessed().map_or_else(absent, |(_, checkpoint)| note(&checkpoint))
}

fn note(text: &[u8]) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text.to_vec()).into_response()
}

/// Hands in a checkpoint of this log with the lines of witnesses
///
/// The note as `/log/checkpoint` had it, with lines of witnesses that the operator has listed. A witness goes forward only.
#[utoipa::path(
    post,
    path = "/log/cosignatures",
    request_body(content = String, content_type = "text/plain"),
    responses(
        (status = 200, body = Vec<String>),
        (status = 401, body = Refused),
        (status = 409, body = Refused),
        (status = 413, description = "More than 64 KiB"),
        (status = 503, body = Refused),
    ),
)]
pub(super) async fn cosign(State(platform): State<Arc<Platform>>, handed: Bytes) -> Response {
    let said = cosignatures(&handed, &platform.settings.witnesses).unwrap_or_default();
    if said.is_empty() {
        let text = "no witness that this log knows has signed it; the operator lists them";
        return Refused::answer(StatusCode::UNAUTHORIZED, Refusal::BadSignature.name(), text);
    }
    let size = platform.read(|desk| seen(&platform, desk.log(), &handed));
    let size = size.filter(|size| {
        platform.cosigned(|cosigned| {
            let before = said.iter().filter_map(|said| cosigned.get(&said.witness));
            before.into_iter().all(|(before, _)| before <= size)
        })
    });
    let Some(size) = size else {
        let text = "this is no checkpoint of this log, or an older one than the witness has signed before";
        return Refused::answer(StatusCode::CONFLICT, "checkpoint", text);
    };
    match platform.keep(size, &said).await {
        Ok(()) => Json(said.into_iter().map(|said| said.witness).collect::<Vec<_>>()).into_response(),
        Err(_) => Refused::answer(StatusCode::SERVICE_UNAVAILABLE, "failed", "it could not be written down"),
    }
}

/// The size of the log at a checkpoint that has been published; the text is the log's own, so that one comparison tells all.
fn seen(platform: &Platform, log: &Log, handed: &[u8]) -> Option<u64> {
    let handed = Note::from_bytes(handed).ok()?;
    let size = Checkpoint::from_bytes(handed.text()).ok()?.size();
    let own = platform.signer.checkpoint_of(log, size).filter(|_| size <= platform.on_disk())?;
    (Note::from_bytes(&own).ok()?.text() == handed.text()).then_some(size)
}

impl Platform {
    fn cosigned<T>(&self, read: impl FnOnce(&super::Cosigned) -> T) -> T {
        read(&self.cosigned.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest checkpoint that a witness has seen, with the lines of all who have: how long the log was, and the note.
    pub(super) fn witnessed(&self) -> Option<(u64, Vec<u8>)> {
        let size = self.cosigned(|cosigned| cosigned.values().map(|(size, _)| *size).max())?;
        let checkpoint = self.read(|desk| self.signer.checkpoint_of(desk.log(), size))?;
        Some((size, [checkpoint, self.lines(size)].concat()))
    }

    /// What witnesses have said of the log at a size.
    fn lines(&self, size: u64) -> Vec<u8> {
        self.cosigned(|cosigned| {
            let of_size = cosigned.values().filter(|(seen, _)| *seen == size);
            of_size.flat_map(|(_, line)| line.iter().copied()).collect()
        })
    }

    /// Keeps what witnesses say of the log at a size.
    async fn keep(&self, size: u64, said: &[Cosignature]) -> sqlx::Result<()> {
        let mut writer = self.way.writer().await?;
        for said in said {
            writer.cosign(&said.witness, size, &said.line).await?;
        }
        let mut cosigned = self.cosigned.write().unwrap_or_else(PoisonError::into_inner);
        cosigned.extend(said.iter().map(|said| (said.witness.clone(), (size, said.line.clone()))));
        Ok(())
    }
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
        let (log, size) = (desk.log(), platform.on_disk());
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
    let on_disk = platform.on_disk();
    let proof = platform.read(|desk| {
        let log = desk.log();
        let path = log.consistency(before, size).filter(|_| size <= on_disk)?;
        let (before_root, root) = (hex(&log.root(before)?), hex(&log.root(size)?));
        Some(Consistency { before, before_root, size, root, path: digits(&path) })
    });
    proof.map_or_else(absent, |proof| Json(proof).into_response())
}
