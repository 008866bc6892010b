//! Where several sidecars of one process listen.

use crate::config::{Listen, Loaded, Problem};

/// The first at `sidecar.listen`, each further one at the next port that
/// isn't the admin's.
pub(super) fn addresses(loaded: &Loaded, count: u16) -> Result<Vec<Listen>, Problem> {
    let (first, admin) = (&loaded.config.sidecar.listen, &loaded.config.admin.listen);
    let row = (0..u16::MAX).map_while(|n| first.further(n)).filter(|listen| !listen.collides(admin));
    let addresses: Vec<Listen> = row.take(usize::from(count)).collect();
    if addresses.len() == usize::from(count) {
        return Ok(addresses);
    }
    let what = format!("there is no room for {count} sidecars from {first} on");
    Err(loaded.problem("sidecar.listen", what, "choose a lower port"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    fn row(listen: &str, admin: &str, count: u16) -> Vec<String> {
        let set = vec![format!("sidecar.listen={listen}"), format!("admin.listen={admin}")];
        let loaded = load(&Sources { set, ..Sources::default() }).unwrap();
        addresses(&loaded, count).unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn further_sidecars_take_the_next_ports_but_not_the_admins() {
        assert_eq!(row("127.0.0.1:7710", "127.0.0.1:7711", 3), ["127.0.0.1:7710", "127.0.0.1:7712", "127.0.0.1:7713"]);
        assert_eq!(row("127.0.0.1:7710", "127.0.0.1:0", 2), ["127.0.0.1:7710", "127.0.0.1:7711"]);
        assert_eq!(row("127.0.0.1:0", "127.0.0.1:0", 2), ["127.0.0.1:0", "127.0.0.1:0"]);
        assert!(row("127.0.0.1:65535", "127.0.0.1:0", 2).is_empty());
    }
}
