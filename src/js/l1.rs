//! What the driver holds of values in its own memory: the core says how long, and for whom.

use alloc::string::String;
use alloc::vec::Vec;

use wasm_bindgen::prelude::*;

use super::Core;
use super::calls::{freshness_of, texts};
use crate::core::{CacheId, ConnectionId, Effect, Held, L1Values, RequestId, Ticket};

/// Not for this reader.
const NOT_FOR: f64 = -1.0;
/// Not for anybody any more.
const GONE: f64 = -2.0;

#[wasm_bindgen]
impl Core {
    /// How the cache holds values: 0 not at all, 1 frozen, 2 as texts, of which each reader gets a copy.
    pub fn holds(&self, cache: u32) -> u32 {
        match self.engine.l1(CacheId(cache)).map(|l1| l1.values) {
            None => 0,
            Some(L1Values::Frozen) => 1,
            Some(L1Values::Copied) => 2,
        }
    }

    /// The value of the effect can be held in so many bytes. Gives its number, 0 if it is not to be held, its slot, and the
    /// numbers of what is to be held no longer.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    pub fn keep(&mut self, bytes: f64) -> Vec<u32> {
        let Some(Effect::Keep(_, offer)) = self.effect.take() else { return Vec::new() };
        let kept = self.engine.keep(*offer, bytes as u64);
        let (id, slot) = kept.ticket.map_or((0, 0), |Ticket { slot, id }| (id, slot));
        [id, slot].into_iter().chain(kept.gone).collect()
    }

    /// The age of something that is held, for a read without options: -1 if not for it, -2 if for nobody any more.
    pub fn held(&mut self, cache: u32, connection: u32, slot: u32, id: u32, now: f64) -> f64 {
        age(self.engine.held(CacheId(cache), ConnectionId(connection), Ticket { slot, id }, now))
    }

    /// The same for a read with options; `freshness` as for `beginRead`.
    #[wasm_bindgen(js_name = heldFor)]
    #[allow(clippy::too_many_arguments, reason = "an object would cost more than the call")]
    pub fn held_for(
        &mut self,
        cache: u32,
        connection: u32,
        slot: u32,
        id: u32,
        space: &str,
        tags: Option<Vec<String>>,
        freshness: u32,
        now: f64,
    ) -> f64 {
        let tags = tags.unwrap_or_default();
        let (cache, connection, freshness) =
            (CacheId(cache), ConnectionId(connection), freshness_of(freshness));
        let ticket = Ticket { slot, id };
        age(self.engine.held_for(cache, connection, ticket, space, &texts(&tags), freshness, now))
    }

    /// The request has got the key's value from L1, and is about to `set` it.
    pub fn took(&mut self, request: u32, cache: u32, connection: u32, space: &str, key: &str) {
        self.engine.took(RequestId(request), CacheId(cache), ConnectionId(connection), space, key);
    }

    /// How events name a key.
    #[wasm_bindgen(js_name = nameInEvents)]
    pub fn name_in_events(&self, cache: u32, key: &str) -> String {
        self.engine.name_in_events(CacheId(cache), key)
    }
}

#[allow(clippy::cast_precision_loss, reason = "ages are short")]
const fn age(held: Held) -> f64 {
    match held {
        Held::Serve(age) => age.get() as f64,
        Held::NotFor => NOT_FOR,
        Held::Gone => GONE,
    }
}
