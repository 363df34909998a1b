//! A fleet in memory: keys, anchors, releases, orders; and a device that is driven by hand.

use ringfort_cose::{AwsLc, Sha256Digest, Sign, SoftSigner, Verify};
use ringfort_device::{
    Action, Actions, Device, Env, Event, HeldAnchors, Identity, Record, Settings, Uptime,
};
use ringfort_messages::{CheckInAnswer, Link, LinkId};
use ringfort_suit::{NewComponent, NewRelease};
use ringfort_trust::ids::*;
use ringfort_trust::{
    Anchors, AnchorsSpec, AuditHead, CommandAction, CommandClaims, Content, KeySpec, Order,
    ProductSpec, Role, Task, TokenClaims,
};

pub const NONCE: Nonce = Nonce([7; 16]);
pub const NOW: u64 = 2_000_000_000;

/// Keys of one fleet.
pub struct Fleet {
    pub anchor_keys: Vec<SoftSigner>,
    pub release_keys: Vec<SoftSigner>,
    pub order_key: SoftSigner,
    pub command_keys: Vec<SoftSigner>,
    pub spec: AnchorsSpec,
}

impl Fleet {
    pub fn new() -> Fleet {
        let keys = || (0..3).map(|_| SoftSigner::generate_p256().unwrap()).collect::<Vec<_>>();
        let (anchor_keys, release_keys, command_keys) = (keys(), keys(), keys());
        let order_key = SoftSigner::generate_p256().unwrap();
        let specs = |role, keys: &[SoftSigner]| -> Vec<KeySpec> {
            keys.iter()
                .enumerate()
                .map(|(index, key)| KeySpec::new(role, key.public_key(), &format!("{index}")))
                .collect()
        };
        let mut named = specs(Role::Anchor, &anchor_keys);
        named.extend(specs(Role::Command, &command_keys[..2]));
        named.push(KeySpec::new(Role::Order, order_key.public_key(), "order"));
        let spec = AnchorsSpec {
            fleet: FleetId([1; 16]),
            version: AnchorsVersion(1),
            time_floor: UnixTime(1_900_000_000),
            keys: named,
            anchor_threshold: 2,
            command_threshold: 1,
            products: vec![ProductSpec {
                vendor: VendorId([2; 16]),
                class: ClassId([3; 16]),
                vendor_name: "Acme".into(),
                class_name: "Gate".into(),
                threshold: 2,
                keys: specs(Role::Release, &release_keys),
            }],
            server_cas: vec![vec![0x30, 0x00]],
            hub: "https://hub.test".into(),
            spare: None,
            revoked: Vec::new(),
        };
        Fleet { anchor_keys, release_keys, order_key, command_keys, spec }
    }

    pub fn anchors(&self) -> Vec<u8> {
        let signers: Vec<&dyn Sign> = self.anchor_keys[..2].iter().map(|key| key as _).collect();
        self.spec.sign(&AwsLc, &signers).unwrap()
    }

    /// The next version, changed.
    pub fn next(&mut self, change: impl FnOnce(&mut AnchorsSpec)) -> Vec<u8> {
        self.spec.version.0 += 1;
        change(&mut self.spec);
        self.anchors()
    }

    pub fn release(&self, sequence: u64, payloads: &[&[u8]]) -> Vec<u8> {
        self.release_with(sequence, payloads, |_| {}, &[0, 1])
    }

    pub fn release_with(
        &self,
        sequence: u64,
        payloads: &[&[u8]],
        change: impl FnOnce(&mut NewRelease),
        signers: &[usize],
    ) -> Vec<u8> {
        let component = |(index, payload): (usize, &&[u8])| NewComponent {
            id: vec![vec![index as u8]],
            vendor: [2; 16],
            class: [3; 16],
            digest: AwsLc.sha256(&[payload]),
            size_bytes: payload.len() as u64,
            uri: "payload".into(),
        };
        let mut release = NewRelease {
            sequence_number: sequence,
            version: format!("v{sequence}"),
            components: payloads.iter().enumerate().map(component).collect(),
            ..NewRelease::default()
        };
        change(&mut release);
        let mut envelope = release.build(&AwsLc).unwrap();
        for signer in signers {
            envelope = ringfort_suit::sign(&AwsLc, &self.release_keys[*signer], &envelope).unwrap();
        }
        envelope
    }

    pub fn claims(&self, content: Content) -> TokenClaims {
        TokenClaims {
            fleet: self.spec.fleet,
            device: DeviceId::new("dev-a").unwrap(),
            issued: UnixTime(NOW),
            expires: UnixTime(NOW + 86_400),
            nonce: Some(NONCE),
            content,
        }
    }

    pub fn order(&self, number: u64, manifest: Sha256Digest) -> Vec<u8> {
        self.sign(&self.order_claims(number, manifest))
    }

    pub fn order_claims(&self, number: u64, manifest: Sha256Digest) -> TokenClaims {
        self.claims(Content::Order(Order {
            number: OrderNumber(number),
            task: Task::Install { manifest },
            min_anchors: AnchorsVersion(1),
        }))
    }

    /// A command for the device, as its command keys would sign it.
    pub fn command_claims(&self, number: u64, action: CommandAction) -> CommandClaims {
        CommandClaims {
            fleet: self.spec.fleet,
            device: DeviceId::new("dev-a").unwrap(),
            issued: UnixTime(NOW - 60),
            expires: UnixTime(NOW + 86_400),
            number: OrderNumber(number),
            action,
            nonce: None,
        }
    }

    /// The order that names a command.
    pub fn command_order(&self, number: u64, action: CommandAction, command: &[u8]) -> Vec<u8> {
        self.sign(&self.claims(Content::Order(Order {
            number: OrderNumber(number),
            task: Task::Command { action, command: AwsLc.sha256(&[command]) },
            min_anchors: AnchorsVersion(1),
        })))
    }

    pub fn time(&self, size: u64) -> Vec<u8> {
        self.sign(&self.claims(Content::Time(AuditHead { size, root: digest(size as u8) })))
    }

    pub fn sign(&self, claims: &TokenClaims) -> Vec<u8> {
        claims.sign(&AwsLc, &self.order_key).unwrap()
    }
}

/// A device with the anchors that it holds.
pub struct Bench {
    pub fleet: Fleet,
    pub device: Device,
    pub anchors: Vec<u8>,
    /// The last record that the device asked to store.
    pub stored: Record,
}

impl Bench {
    pub fn new() -> Bench {
        let fleet = Fleet::new();
        let anchors = fleet.anchors();
        let held = HeldAnchors { version: AnchorsVersion(1), digest: AwsLc.sha256(&[&anchors]) };
        let record = Record::new(held, 0);
        let device = Device::new(identity(), settings(), record, 0).unwrap();
        Bench { fleet, device, anchors, stored: record }
    }

    /// Gives an event and returns the actions; notes what is to be stored.
    pub fn give(&mut self, event: Event<'_>) -> Actions {
        let anchors =
            Anchors::verify_pinned(&self.anchors, &AwsLc.sha256(&[&self.anchors]), &AwsLc).unwrap();
        let env = Env { anchors: &anchors, verifier: &AwsLc, uptime: Uptime(1) };
        let actions = self.device.handle(event, &env);
        assert!(actions.iter().count() < Actions::MAX, "the list may have been cut");
        if actions.iter().any(|action| action == Action::Persist) {
            self.stored = *self.device.record();
        } else {
            let durable = |record: &Record| Record { ..*record };
            assert_eq!(durable(self.device.record()), self.stored, "a change was not stored");
        }
        if let (Event::Anchors { document }, true) =
            (event, actions.iter().any(|action| matches!(action, Action::StoreAnchors(_))))
        {
            self.anchors = document.to_vec();
        }
        actions
    }

    pub fn answer(&mut self, token: &[u8]) -> Actions {
        let answer = answer(token, 1);
        self.give(Event::Answer { answer: &answer, nonce: NONCE })
    }

    pub fn answer_with(&mut self, token: &[u8], command: Option<&[u8]>) -> Actions {
        let answer = CheckInAnswer { command, ..answer(token, 1) };
        self.give(Event::Answer { answer: &answer, nonce: NONCE })
    }

    /// Power off and on: only what was stored is left, by way of its bytes.
    pub fn restart(&mut self) -> Actions {
        let mut buffer = [0; Record::MAX_LEN];
        let bytes = self.stored.encode_into(&mut buffer).unwrap();
        let record = Record::decode(bytes).unwrap();
        assert_eq!(record, self.stored);
        self.device = Device::new(identity(), settings(), record, record.counter).unwrap();
        self.give(Event::Started { booted: None })
    }

    pub fn payload_written(&mut self, component: u8, payload: &[u8]) -> Actions {
        self.give(Event::PayloadWritten {
            component,
            digest: AwsLc.sha256(&[payload]),
            size_bytes: payload.len() as u64,
        })
    }

    /// Installs and confirms a release of one payload by the order with this number.
    pub fn install(&mut self, number: u64, sequence: u64) -> Vec<u8> {
        let payload = sequence.to_be_bytes();
        let envelope = self.fleet.release(sequence, &[&payload]);
        let order = self.fleet.order(number, manifest_of(&envelope));
        self.answer(&order);
        self.give(Event::Manifest { envelope: &envelope });
        self.payload_written(0, &payload);
        self.answer(&order);
        self.give(Event::Restarted);
        self.give(Event::Health { failed: None });
        self.give(Event::ResultReported { order: OrderNumber(number) });
        envelope
    }
}

pub fn answer(token: &[u8], newest: u64) -> CheckInAnswer<'_> {
    CheckInAnswer {
        token,
        command: None,
        link: link(1),
        newest_anchors: AnchorsVersion(newest),
        interval_seconds: 60,
    }
}

pub fn link(counter: u64) -> Link {
    let device = DeviceId::new("dev-a").unwrap();
    Link::issue(LinkId { counter, random: [4; 16] }, &device, |_| [5; 32])
}

pub fn manifest_of(envelope: &[u8]) -> Sha256Digest {
    ringfort_suit::Envelope::parse(envelope, &AwsLc).unwrap().manifest_digest()
}

pub fn digest(byte: u8) -> Sha256Digest {
    Sha256Digest([byte; 32])
}

pub fn identity() -> Identity {
    Identity {
        device: DeviceId::new("dev-a").unwrap(),
        ueid: Ueid::from_random([6; 16]),
        vendor: VendorId([2; 16]),
        class: ClassId([3; 16]),
    }
}

pub fn settings() -> Settings {
    Settings { built: UnixTime(1_800_000_000), trial_attempts: 2, debug_unlock: true }
}

/// Names of actions, in order, without what they carry.
pub fn names(actions: &Actions) -> String {
    let name = |action: Action| {
        let text = format!("{action:?}");
        match action {
            Action::Activate(_) | Action::Refused(_) | Action::Alarm(_) => text,
            _ => text.split([' ', '(', '{']).next().unwrap().to_owned(),
        }
    };
    actions.iter().map(name).collect::<Vec<_>>().join(" ")
}
