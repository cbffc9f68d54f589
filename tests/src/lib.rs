//! The project's tests.

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod binary;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod compare;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod image;
#[cfg(test)]
mod judged;
#[cfg(test)]
mod outbox;
#[cfg(test)]
mod seats;
#[cfg(test)]
mod stick;
