//! The other direction: bytes are handed in, and a short answer comes back.

use reqwest::header::CONTENT_TYPE;
use tokio::time::timeout;

use super::{Fetcher, Place, Refused, cause};

impl Fetcher {
    /// Hands bytes in at a place, and returns the status and the body of the answer, of at most `bytes_max` bytes. Nobody is followed
    /// elsewhere: what is handed in is meant for this place.
    ///
    /// # Errors
    /// When no whole answer comes in time. The bytes may have arrived all the same.
    pub async fn post(
        &self,
        place: &Place,
        bytes: Vec<u8>,
        bytes_max: usize,
    ) -> Result<(u16, Vec<u8>), Refused> {
        let request = self.client.post(place.0.clone()).header(CONTENT_TYPE, "application/octet-stream");
        let exchange = async {
            let mut answer = request.body(bytes).send().await.map_err(|error| cause(&error))?;
            let (status, mut body) = (answer.status().as_u16(), Vec::new());
            while let Some(part) = answer.chunk().await.map_err(|_| Refused::Cut)? {
                if body.len() + part.len() > bytes_max {
                    return Err(Refused::TooLong);
                }
                body.extend_from_slice(&part);
            }
            Ok((status, body))
        };
        // An answer is one packet: it comes within the time in which a list may be silent, or not at all.
        timeout(self.patience.connect + self.patience.idle, exchange).await.unwrap_or(Err(Refused::Late))
    }
}
