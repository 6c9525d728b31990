//! A peer on standard input and output, for interoperability tests in other languages.
//!
//! One request per line, one line in return:
//!
//! ```text
//! protect  suite=gcm-aes-128 key=HEX sci=HEX pn=N an=N mode=encrypt tag=sci|es|none [ssci=N salt=HEX] frame=HEX
//!   -> ok HEX                   the protected frame
//! validate suite=... key=HEX sci=HEX pn=N an=N [ssci=N salt=HEX] frame=HEX
//!   -> InPktsOK HEX             the outcome, and the frame if it is delivered
//! ```
//!
//! `sci`, `pn` and `ssci` are those of the transmitter, `pn` the lowest to accept. `mode` is `encrypt` or `integrity`. A request that
//! makes no sense gives `error: ...`.

use std::{
    collections::HashMap,
    error::Error,
    io::{self, BufRead, Write},
};

use macsec::{
    An, Backend, CipherSuite, Confidentiality, ConfidentialityOffset, Config, DataKey, FrameBuf,
    HEADROOM, KeySlot, Ki, Portable, ReceiveSa, ReceiveScSlot, Sak, Salt, Sci, SecY, Ssci,
    TAILROOM, TransmitSa,
};

type PeerSecY = SecY<Portable, [KeySlot<<Portable as Backend>::Key>; 1], [ReceiveScSlot; 1]>;

const KI: Ki = Ki([1; 16]);

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        match answer(&line?) {
            Ok(answer) => writeln!(out, "{answer}")?,
            Err(error) => writeln!(out, "error: {error}")?,
        }
        out.flush()?;
    }
    Ok(())
}

fn answer(line: &str) -> Result<String, Box<dyn Error>> {
    let (verb, rest) = line.split_once(' ').ok_or("no request")?;
    let request = Request::parse(rest)?;
    match verb {
        "protect" => request.protect(),
        "validate" => request.validate(),
        _ => Err("neither protect nor validate".into()),
    }
}

struct Request<'a>(HashMap<&'a str, &'a str>);

impl<'a> Request<'a> {
    fn parse(text: &'a str) -> Result<Self, Box<dyn Error>> {
        let pairs = text.split_whitespace().map(|word| word.split_once('='));
        Ok(Self(pairs.collect::<Option<_>>().ok_or("not name=value")?))
    }

    fn text(&self, name: &str) -> Result<&'a str, Box<dyn Error>> {
        Ok(self.0.get(name).ok_or_else(|| format!("{name}: missing"))?)
    }

    fn number(&self, name: &str) -> Result<u64, Box<dyn Error>> {
        Ok(self.text(name)?.parse()?)
    }

    fn octets(&self, name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        Ok(hex::decode(self.text(name)?)?)
    }

    fn suite(&self) -> Result<CipherSuite, Box<dyn Error>> {
        Ok(self.text("suite")?.parse()?)
    }

    fn sci(&self) -> Result<Sci, Box<dyn Error>> {
        Ok(self.text("sci")?.parse()?)
    }

    fn an(&self) -> Result<An, Box<dyn Error>> {
        let number = u8::try_from(self.number("an")?)?;
        Ok(An::new(number).ok_or("an: 0 to 3")?)
    }

    fn ssci(&self) -> Result<Option<Ssci>, Box<dyn Error>> {
        if !self.suite()?.is_xpn() {
            return Ok(None);
        }
        Ok(Some(Ssci(u32::try_from(self.number("ssci")?)?)))
    }

    fn secy(&self, ours: Sci, config: Config) -> Result<PeerSecY, Box<dyn Error>> {
        let keys = [const { KeySlot::EMPTY }; 1];
        let peers = [const { ReceiveScSlot::EMPTY }; 1];
        let mut secy = SecY::new(Portable, ours, config, keys, peers)?;
        let suite = self.suite()?;
        let salt = if suite.is_xpn() {
            let octets = self.octets("salt")?;
            let octets = octets.try_into().map_err(|_| "salt: 12 octets")?;
            Some(Salt(octets))
        } else {
            None
        };
        let sak = Sak::new(&self.octets("key")?)?;
        secy.install_key(&DataKey::new(KI, suite, sak, salt)?)?;
        Ok(secy)
    }

    fn protect(&self) -> Result<String, Box<dyn Error>> {
        let mut config = Config::default();
        match self.text("tag")? {
            "sci" => config.always_include_sci = true,
            "es" => config.use_es = true,
            "none" => {}
            _ => return Err("tag: sci, es or none".into()),
        }
        let mut secy = self.secy(self.sci()?, config)?;
        let an = self.an()?;
        secy.install_transmit_sa(&TransmitSa {
            an,
            ki: KI,
            ssci: self.ssci()?,
            next_pn: self.number("pn")?,
            confidentiality: match self.text("mode")? {
                "encrypt" => Confidentiality::Encrypt(ConfidentialityOffset::Zero),
                "integrity" => Confidentiality::IntegrityOnly,
                _ => return Err("mode: encrypt or integrity".into()),
            },
        })?;
        secy.enable_transmit_sa(an)?;

        let mut buffer = vec![0; HEADROOM];
        buffer.extend(self.octets("frame")?);
        let range = HEADROOM..buffer.len();
        buffer.resize(range.end + TAILROOM, 0);
        let frame = FrameBuf::new(buffer, range).map_err(|_| "frame: no place")?;
        let protected = secy.protect(frame).map_err(|refused| refused.error)?;
        Ok(format!("ok {}", hex::encode(protected.octets())))
    }

    fn validate(&self) -> Result<String, Box<dyn Error>> {
        // An SCI that no frame carries: this SecY only receives.
        let mut secy = self.secy(Sci([0xff; 8]), Config::default())?;
        let (sci, an) = (self.sci()?, self.an()?);
        secy.create_receive_sc(sci)?;
        let sa = ReceiveSa {
            an,
            ki: KI,
            ssci: self.ssci()?,
            lowest_pn: self.number("pn")?,
            offset: ConfidentialityOffset::Zero,
        };
        secy.install_receive_sa(sci, &sa)?;
        secy.enable_receive_sa(sci, an)?;
        let verdict = secy.validate(self.octets("frame")?);
        let frame = verdict.delivered().map(hex::encode).unwrap_or_default();
        Ok(format!("{} {frame}", verdict.outcome()))
    }
}
