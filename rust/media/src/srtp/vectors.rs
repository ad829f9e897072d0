//! What the RFCs and libsrtp have on the wire, byte for byte.
use super::gcm::Gcm;
use super::keys::SessionKeys;
use super::testing::{
    SSRC, end, hex, master, opened, opened_rtcp, roomy, rtcp, rtp, sealed, sealed_rtcp,
};
use super::transform::{Place, Transform};
use super::{SrtpError, Suite};
use zeroize::Zeroizing;

/// RFC 7714 gives session keys: there is nothing to derive.
fn gcm(key: &str) -> Gcm {
    let mut keys = SessionKeys {
        key: Zeroizing::default(),
        auth: Zeroizing::default(),
        salt: Zeroizing::default(),
    };
    let key = hex(key);
    keys.key[..key.len()].copy_from_slice(&key);
    keys.salt[..12].copy_from_slice(b"Quid pro quo");
    Gcm::new(keys, key.len())
}

const KEY_128: &str = "000102030405060708090a0b0c0d0e0f";
const KEY_256: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// RFC 7714 sections 16.1 and 16.2.
#[test]
fn rtp_under_gcm_as_in_the_rfc() {
    let plain = [
        hex("8040f17b 8041f8d3 5501a0b2"),
        b"Gallia est omnis divisa in partes tres".to_vec(),
    ]
    .concat();
    let short =
        "8040f17b8041f8d35501a0b2 f24de3a3fb34de6cacba861c9d7e4bca be633bd50d294e6f42a5f47a51c7d19b
        36de3adf8833 899d7f27beb16a9152cf765ee4390cce";
    let long =
        "8040f17b8041f8d35501a0b2 32b1de78a822fe12ef9f78fa332e33aa b18012389a58e2f3b50b2a0276ffae0f
        1ba63799b87b 7aa3db36dfffd6b0f9bb7878d7a76c13";
    for (key, expected) in [(KEY_128, hex(short)), (KEY_256, hex(long))] {
        let transform = Transform::of_gcm(gcm(key));
        let place = Place {
            ssrc: SSRC,
            index: 0xf17b,
            clear: 12,
        };
        let mut packet = roomy(&plain);
        let len = transform.seal_rtp(&mut packet, plain.len(), place);
        assert_eq!(packet[..len], expected);
        assert_eq!(
            transform.open_rtp(&mut packet[..len], place),
            Ok(plain.len())
        );
        assert_eq!(packet[..plain.len()], plain);
    }
}

/// RFC 7714 sections 17.1 to 17.4: encrypted, and only tagged.
#[test]
fn rtcp_under_gcm_as_in_the_rfc() {
    let plain = hex(
        "81c8000d4d617273 4e5450314e545032 525450200000042a 0000e9304c756e61 deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    );
    let short = "81c8000d4d617273 63e94885dcdab67ca727d7662f6b7e99 7ff5c0f76c06f32dc676a5f1730d6fda 4ce09b4686303ded0bb9275b
        c84aa45896cf4d2fc5abf87245d9eade 800005d4";
    let long = "81c8000d4d617273 d50ae4d1f5ce5d304ba297e47d470c28 2c3ece5dbffe0a50a2eaa5c1110555be 8415f658c61de0476f1b6fad
        1d1eb30c4446839f57ff6f6cb26ac3be 800005d4";
    for (key, expected) in [(KEY_128, hex(short)), (KEY_256, hex(long))] {
        let transform = Transform::of_gcm(gcm(key));
        let mut packet = roomy(&plain);
        let len = transform.seal_rtcp(&mut packet, plain.len(), 0x4d61_7273, 0x5d4);
        assert_eq!(packet[..len], expected);
        assert_eq!(transform.rtcp_index(&packet[..len]), Some(0x5d4));
        assert_eq!(
            transform.open_rtcp(&mut packet[..len], 0x4d61_7273),
            Ok(plain.len())
        );
        assert_eq!(packet[..plain.len()], plain);
    }
    let tagged = [
        (KEY_128, "841dd9683dd78ec92ae58790125f62b3"),
        (KEY_256, "91db4afbfeee5a978fab4393ed2615fe"),
    ];
    for (key, tag) in tagged {
        let transform = Transform::of_gcm(gcm(key));
        let mut packet = [plain.clone(), hex(tag), hex("000005d4")].concat();
        let mut changed = packet.clone();
        changed[12] ^= 1;
        assert!(transform.open_rtcp(&mut changed, 0x4d61_7273).is_err());
        assert_eq!(
            transform.open_rtcp(&mut packet, 0x4d61_7273),
            Ok(plain.len())
        );
        assert_eq!(packet[..plain.len()], plain);
    }
}

/// The reference packets of libsrtp's own tests, from master keys to the wire.
#[test]
fn rtp_under_counter_mode_as_libsrtp_has_it() {
    let plain = [hex("800f1234decafbadcafebabe"), vec![0xab; 16]].concat();
    let short = hex("e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6");
    let long = hex(
        "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6 3b04803de51ee7c96423ab5b78d2",
    );
    for (suite, key, expected) in [
        (
            Suite::AesCm128HmacSha1_80,
            &short,
            "4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb",
        ),
        (
            Suite::Aes256CmHmacSha1_80,
            &long,
            "f1d9de17ff251ff1aa007774b0b4b40d a08d9d9a5b3a55d8873b",
        ),
    ] {
        let mut ours = end(suite, key, &master(suite, 9));
        let mut theirs = end(suite, &master(suite, 9), key);
        let wire = sealed(&mut ours, &plain);
        assert_eq!(wire, [&plain[..12], &hex(expected)].concat());
        assert_eq!(opened(&mut theirs, &wire), Ok(plain.clone()));
    }
}

/// Packets that libsrtp sealed (pylibsrtp 1.0.0): an index before and two right after a rollover, and an RTCP packet.
#[test]
fn rollovers_as_libsrtp_counts_them() {
    let vectors = [
        (
            Suite::AesCm128HmacSha1_80,
            [
                "7e7529680de7395faeb3c38b1c0bc46b04afec7637b073d2c7d5b82b5c50",
                "e88f1abfe0a2ccf5846d5f760a361c27be2f76dc1472b8732c16c61a1575",
                "d92697b00d71ff452386e9f5d380fd14961f5f4f6c2b9e6d379b32338da5",
            ],
            "0905db30c5a8fe0f919d7ed4b0df544c800000011931d73b64960d345eb7",
        ),
        (
            Suite::AesCm128HmacSha1_32,
            [
                "7e7529680de7395faeb3c38b1c0bc46b04afec7637b073d2",
                "e88f1abfe0a2ccf5846d5f760a361c27be2f76dc1472b873",
                "d92697b00d71ff452386e9f5d380fd14961f5f4f6c2b9e6d",
            ],
            "0905db30c5a8fe0f919d7ed4b0df544c800000011931d73b64960d345eb7",
        ),
        (
            Suite::AeadAes128Gcm,
            [
                "f6d2d4efee2adf4746dd85585898657e0013648d4b708fbc07f1c266d4cfc28b13ea77a3",
                "52a02aa5d77a0ffe64fe150463ced9e84a6d66065a026a05f795eafa53efcd5529404727",
                "dcebd0d9a0a88403aae6f33334c203730c5ec3f5edfef1cbd64529e0f959e13bb1cf07e4",
            ],
            "57d05ffb6c397ff8003d86bb048af16168fe9d97ae56a0445c97b437c94014b780000001",
        ),
        (
            Suite::AeadAes256Gcm,
            [
                "664255a6a7043ab8c8060a3e053899100ab047e635e207ec9c2a766f672e39f69341fefd",
                "0dba7fada8cf50f9cbc58d746d6996d5c09787e606bd8f687da9cca5540d98c44b1ca628",
                "af94247d26cbd52d13e2a60dbe4ae68664192ec5734d3c8cf01e3c7c5105dfe6b2adb208",
            ],
            "8b04586c1d78a2ed37dc60439012c55401b28e78c88a82396c6f4fe6eb79d24a80000001",
        ),
    ];
    for (suite, packets, report) in vectors {
        let (ours, theirs) = (master(suite, 1), master(suite, 2));
        let mut ours_end = end(suite, &ours, &theirs);
        let mut far_end = end(suite, &theirs, &ours);
        let mut expected = [65_535u32, 65_536, 131_072]
            .into_iter()
            .zip(packets)
            .peekable();
        for index in 65_530..131_075u32 {
            let packet = rtp(SSRC, index as u16)[..32].to_vec();
            let wire = sealed(&mut ours_end, &packet);
            if let Some((_, sealed)) = expected.next_if(|(at, _)| *at == index) {
                assert_eq!(
                    wire,
                    [&packet[..12], &hex(sealed)].concat(),
                    "{suite:?} {index}"
                );
                assert_eq!(opened(&mut far_end, &wire), Ok(packet.clone()));
                assert_eq!(opened(&mut far_end, &wire), Err(SrtpError::Replayed));
            } else {
                assert!(opened(&mut far_end, &wire).is_ok());
            }
        }
        assert!(expected.next().is_none());
        // libsrtp counts from one, we from zero (section 3.4).
        let packet = rtcp(SSRC);
        sealed_rtcp(&mut ours_end, &packet);
        let wire = sealed_rtcp(&mut ours_end, &packet);
        assert_eq!(wire, [&packet[..8], &hex(report)].concat(), "{suite:?}");
        assert_eq!(opened_rtcp(&mut far_end, &wire), Ok(packet));
    }
}
