//! One gateway for each uplink.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::Arc,
};

use macsec_io::netns::Resident;

use super::UplinkError;

/// The right to an uplink, against other gateways. It ends with the process, however that ends.
///
/// Two gateways on one uplink, copies of one configuration say, would use packet numbers twice. So
/// each binds a socket to an abstract name. These names belong to a network namespace, as interfaces
/// do: one is taken in the host's, one in the private namespace, as the uplink may be in either.
#[derive(Debug)]
pub struct Claim {
    _sockets: Vec<UnixDatagram>,
}

impl Claim {
    /// Claims the uplink `name` in the namespace of the calling thread, and in `private`.
    ///
    /// # Errors
    /// [`UplinkError::Claimed`] if another gateway has it.
    pub fn new(name: &str, private: Option<&Arc<Resident>>) -> Result<Self, UplinkError> {
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => UplinkError::Claimed(name.to_owned()),
            _ => UplinkError::Claim { name: name.to_owned(), source: error },
        };
        let mut sockets = vec![bind(name).map_err(refused)?];
        if let Some(private) = private {
            let name = name.to_owned();
            sockets.push(private.run(move || bind(&name)).map_err(refused)?);
        }
        Ok(Self { _sockets: sockets })
    }
}

fn bind(name: &str) -> io::Result<UnixDatagram> {
    let address = SocketAddr::from_abstract_name(format!("macsec-gateway uplink {name}"))?;
    UnixDatagram::bind_addr(&address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let name = format!("test-{}", std::process::id());
        let claim = Claim::new(&name, None).expect("nobody has it");
        let second = Claim::new(&name, None).expect_err("taken");
        assert!(matches!(second, UplinkError::Claimed(_)), "{second}");
        drop(claim);
        Claim::new(&name, None).expect("given up");
    }
}
