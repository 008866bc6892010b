//! Who we are and whom we trust: encrypted connections whose server's name is
//! verified, NKeys and JWTs, each against a real server that asks for it.

use std::path::PathBuf;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use handbell_backend::{Backend, CellName, Class, QueueSpec, Settlement, Start};
use handbell_backend_nats::{Credentials, NatsBackend, OpenError, Options, open};
use handbell_protocol::TopicPattern;
use handbell_test_support::NatsServer;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair as CertKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{event, options, read};

/// Files of one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// A certificate authority.
struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, CertKey>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = CertKey::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a name, and its key, as files.
    fn issue(&self, files: &Files, name: &str) -> (PathBuf, PathBuf) {
        let key = CertKey::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let path = |what: &str| format!("{name}.{what}.pem");
        (files.write(&path("cert"), &certificate.pem()), files.write(&path("key"), &key.serialize_pem()))
    }
}

/// The backend works with what it was let in with.
async fn works(options: Options) -> NatsBackend {
    let backend = open(options).await.unwrap();
    backend.publish(vec![event(1)]).await.unwrap().await[0].as_ref().unwrap();
    assert_eq!(read(&backend, 1).await.len(), 1);
    backend
}

/// It isn't let in, or doesn't go in.
async fn refused(options: Options, why: &str) {
    let patience = Some(std::time::Duration::from_secs(2));
    let error = open(Options { patience, ..options }).await.expect_err(why);
    let expected = matches!(error, OpenError::Tls { .. } | OpenError::Unreachable { .. });
    assert!(expected, "{why}: {error}");
}

#[tokio::test]
async fn only_a_server_with_a_trusted_certificate_for_its_name_is_talked_to() {
    let (files, ours, other) = (Files::new(), Authority::new("ours"), Authority::new("other"));
    let (cert, key) = ours.issue(&files, "localhost");
    let tls = format!("tls {{ cert_file: {cert:?}, key_file: {key:?} }}");
    let server = NatsServer::start_with(&tls).unwrap();
    let port = server.url().rsplit(':').next().unwrap().to_owned();
    let trusted = |authority: &Authority, url: String| {
        let mut options = options(&url);
        options.tls.ca = Some(files.write("ca.pem", &authority.certificate.pem()));
        options
    };
    works(trusted(&ours, format!("tls://localhost:{port}"))).await;
    // A file with certificates asks for encryption, whatever the URL says.
    works(trusted(&ours, format!("nats://localhost:{port}"))).await;
    refused(trusted(&ours, format!("tls://127.0.0.1:{port}")), "the certificate is for another name").await;
    refused(trusted(&other, format!("tls://localhost:{port}")), "another authority has signed it").await;
    refused(options(&format!("tls://localhost:{port}")), "the system doesn't know its authority").await;
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_ours_and_nobody_without_one_is_let_in() {
    let (files, ours) = (Files::new(), Authority::new("ours"));
    let ca = files.write("ca.pem", &ours.certificate.pem());
    let (cert, key) = ours.issue(&files, "localhost");
    let tls = format!("tls {{ cert_file: {cert:?}, key_file: {key:?}, ca_file: {ca:?}, verify: true }}");
    let server = NatsServer::start_with(&tls).unwrap();
    let mut options = options(&server.url().replace("nats://127.0.0.1", "tls://localhost"));
    options.tls.ca = Some(ca);
    refused(options.clone(), "the server asks for a certificate").await;
    options.tls.certificate = Some(ours.issue(&files, "sidecar"));
    works(options).await;
}

/// What the docs say that a sidecar needs, for namespace `test`.
const PERMISSIONS: &str = r#"permissions: {
  publish: ["test.>", "$KV.hb-test-cell.>", "$JS.ACK.>", "$JS.API.INFO", "$JS.API.STREAM.INFO.>",
    "$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.MSG.GET.>", "$JS.API.STREAM.MSG.DELETE.>", "$JS.API.CONSUMER.>"]
  subscribe: ["_INBOX.>"] }"#;

#[tokio::test]
async fn an_nkey_with_the_permissions_of_a_sidecar_lets_us_in_and_another_one_does_not() {
    let files = Files::new();
    let (ours, other) = (KeyPair::new_user(), KeyPair::new_user());
    let users = format!("authorization {{ users: [ {{ nkey: {}, {PERMISSIONS} }} ] }}", ours.public_key());
    let server = NatsServer::start_with(&users).unwrap();
    let with = |key: &KeyPair| {
        let path = files.write("seed.nk", &format!("{}\n", key.seed().unwrap()));
        Options { credentials: Credentials::Nkey(path), ..options(&server.url()) }
    };
    let backend = works(with(&ours)).await;
    // All verbs, under what is permitted.
    let cell = CellName::of(&["c"]);
    backend.cell_store(&cell, "one".into(), None).await.unwrap();
    assert_eq!(backend.cells(&CellName::of(&["group"])).await.unwrap(), []);
    assert_eq!(backend.topics(Class::Ev).await.unwrap().len(), 1);
    let topics = vec![TopicPattern::parse(">").unwrap()];
    let ack_wait = std::time::Duration::from_secs(30);
    let spec = QueueSpec { name: CellName::of(&["q"]), class: Class::Ev, topics, start: Start::Oldest, ack_wait };
    let queue = backend.queue(spec).await.unwrap();
    for settlement in [Settlement::Nak { delay: std::time::Duration::ZERO, counted: true }, Settlement::Ack] {
        let lent = queue.pull(1).await.unwrap().remove(0);
        assert_eq!(queue.settle(vec![(lent.token, settlement)]).await.unwrap(), [true]);
    }
    let error = open(with(&other)).await.unwrap_err();
    assert!(matches!(error, OpenError::Unauthorized { .. }), "{error}");
}

/// A JWT as NATS has them, signed by its issuer.
fn jwt(issuer: &KeyPair, subject: &str, nats: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "jti": subject, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": subject,
        "sub": subject, "nats": nats });
    let signed = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn a_credentials_file_lets_us_into_its_account_and_a_forged_one_does_not() {
    let files = Files::new();
    let (operator, system) = (KeyPair::new_operator(), KeyPair::new_account());
    let (account, user) = (KeyPair::new_account(), KeyPair::new_user());
    let limits = json!({ "subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1, "payload": -1,
        "wildcards": true, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1 });
    let mut without = limits.clone();
    for stored in ["mem_storage", "disk_storage", "streams", "consumer"] {
        without[stored] = json!(0);
    }
    let of_account = |key: &KeyPair, limits: &Value| {
        jwt(&operator, &key.public_key(), &json!({ "type": "account", "version": 2, "limits": limits }))
    };
    let settings = format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}",
        jwt(&operator, &operator.public_key(), &json!({ "type": "operator", "version": 2 })),
        system.public_key(),
        account.public_key(),
        of_account(&account, &limits),
        system.public_key(),
        of_account(&system, &without),
    );
    let server = NatsServer::start_with(&settings).unwrap();
    let with = |issuer: &KeyPair| {
        let nats = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
            -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(issuer, &user.public_key(), &nats),
            user.seed().unwrap(),
        );
        Options { credentials: Credentials::Jwt(files.write("user.creds", &text)), ..options(&server.url()) }
    };
    works(with(&account)).await;
    let error = open(with(&KeyPair::new_account())).await.unwrap_err();
    assert!(matches!(error, OpenError::Unauthorized { .. }), "{error}");
}
