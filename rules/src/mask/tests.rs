//! What each recogniser takes and leaves, beside values of the kind in many formats; every example is invented or from documentation.

use super::*;

fn masker() -> Masker {
    Masker::new(b"a salt for tests only", &MaskOptions::default()).unwrap()
}

/// Each value found is shown as `[kind value]`.
fn shown(masker: &Masker, text: &str) -> String {
    let (mut out, mut at) = (String::new(), 0);
    for finding in masker.find(text) {
        out.push_str(&text[at..finding.range.start]);
        out.push_str(&format!("[{} {}]", masker.kind_name(finding.kind), &text[finding.range.clone()]));
        at = finding.range.end;
    }
    out + &text[at..]
}

/// The brackets say what must be found: the text is what is left without them.
fn check(cases: &[(&str, &str)]) {
    let masker = masker();
    let mut wrong = Vec::new();
    for (why, expected) in cases {
        let mut text = (*expected).to_owned();
        for kind in Kind::BUILTIN {
            text = text.replace(&format!("[{} ", kind.name()), "\u{1}");
        }
        let mut plain = String::new();
        let mut inside = false;
        for c in text.chars() {
            match c {
                '\u{1}' => inside = true,
                ']' if inside => inside = false,
                c => plain.push(c),
            }
        }
        let found = shown(&masker, &plain);
        if found != *expected {
            wrong.push(format!("{why}:\n  wanted {expected}\n  found  {found}"));
        }
        let once = masker.mask(&plain).text.into_owned();
        assert_eq!(masker.mask(&once).text, once, "{why}: masking twice");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn phones() {
    check(&[
        ("Chinese mobile", "手机号[phone 13812345678]，谢谢"),
        ("directly in Chinese", "我的电话是[phone 13912345678]请联系"),
        ("grouped", "打[phone 138-1234-5678]或者[phone 138 1234 5678]"),
        ("E.164", "call [phone +8613812345678] or [phone +86 138 1234 5678]."),
        ("country code without plus", "[phone 86-138-1234-5678]"),
        ("exit code", "[phone 0086 13812345678]"),
        ("full width", "电话：[phone １３８１２３４５６７８]。"),
        ("full width, grouped", "电话：[phone １３８－１２３４－５６７８]。"),
        ("label run in", "tel[phone 13812345678]"),
        ("landline", "座机[phone 010-65529988]，[phone (0755) 8888 8888]，[phone 021-6552-9988]"),
        ("landline with extension", "公司[phone 010-65529988-801]"),
        (
            "North America",
            "[phone (415) 555-2671], [phone 415-555-2671], [phone 415.555.2671], [phone +1 415 555 2671], [phone 1-415-555-2671]",
        ),
        ("ten digits want a word", "call me at [phone 4155552671] but order 4155552671"),
        ("spaced triples want a word", "sizes 256 512 1024; my phone: [phone 415 555 2671]"),
        (
            "Britain",
            "[phone +44 20 7946 0958], [phone +44 (0)20 7946 0958], [phone 020 7946 0958], [phone 07911 123456]",
        ),
        ("Germany", "[phone +49 30 12345678], [phone 030-12345678]"),
        ("France", "[phone +33 6 12 34 56 78], appelez: call [phone 06 12 34 56 78]"),
        ("others", "[phone +81 90-1234-5678] [phone +91 98765 43210] [phone +852 2345 6789] [phone +971 50 123 4567]"),
        ("two in a row", "[phone 13812345678] [phone 13912345678]"),
        ("list", "[phone 13812345678],[phone 13912345678]、[phone 13712345678]"),
        ("end of sentence", "I am at [phone 13812345678]."),
        ("a longer number", "8613812345678901 138123456789 1381234567"),
        ("not after letters", "abc13812345678 SN4711-13812345678"),
        ("decimal", "0.13812345678 13812345678.5"),
        ("timestamps", "1732500000 1732500000000 20241125103045"),
        ("dates", "2024-11-25 10:30 and 25.11.2024, 2024/11/25"),
        ("arithmetic", "1+12345678901 = 12345678902"),
        ("years", "from 1998 2004 2008 2012"),
        ("money", "$4155552671 ¥13812345678"),
    ]);
}

#[test]
fn ids_cards_accounts() {
    check(&[
        ("resident id", "身份证号：[cn_id 11010519491231002X]。"),
        ("lower-case x, in Chinese", "身份证[cn_id 11010519491231002x]号"),
        ("grouped", "[cn_id 110105 19491231 002X]"),
        ("wrong check character", "110105194912310021"),
        ("no such day", "110105194913310028"),
        ("old form", "证件 [cn_id 110105491231002]"),
        ("Visa", "[card 4111111111111111] [card 4111 1111 1111 1111] [card 4111-1111-1111-1111]"),
        ("American Express", "[card 378282246310005], [card 3782 822463 10005]"),
        (
            "Mastercard, Discover, Diners, JCB",
            "[card 5555555555554444] [card 2223003122003222] [card 6011111111111117] [card 30569309025904] [card 3530111333300000]",
        ),
        ("UnionPay", "卡号[card 6200000000000005]，[card 6212 3456 7890 0000 003]"),
        ("wrong checksum", "4111111111111112 5555 5555 5555 4445"),
        ("unknown prefix", "1234567812345670 9111111111111111"),
        ("with its code", "card [card 4111111111111111] 123 12/26"),
        ("full width", "卡号[card ４１１１　１１１１　１１１１　１１１１]"),
        ("IBAN", "[iban DE89370400440532013000] [iban DE89 3704 0044 0532 0130 00] [iban GB82WEST12345698765432]"),
        ("IBAN in lower case", "[iban de89 3704 0044 0532 0130 00]"),
        ("IBAN in Chinese", "账号[iban FR1420041010050500013M02606]。"),
        ("wrong check digits", "DE88370400440532013000 GB82WEST12345698765433"),
        ("wrong length", "DE8937040044053201300"),
        (
            "UUID, hash",
            "550e8400-e29b-41d4-a716-446655440000 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
    ]);
}

#[test]
fn addresses() {
    check(&[
        ("e-mail", "write to [email John.Doe+x@mail.example.co.uk]."),
        ("in Chinese", "邮箱[email zhang_san@qq.com]，谢谢"),
        ("directly in Chinese", "发到[email zhang@qq.com]就行"),
        ("number as local part", "[email 13812345678@163.com]"),
        ("full width", "邮箱：[email ｚｈａｎｇ＠ｑｑ．ｃｏｍ]"),
        ("then a number", "[email a.b@example.com]-[phone 13812345678]"),
        ("mailto", "<mailto:[email a.b@example.com]>"),
        ("escaped in a URL", "?to=[email john%40example.com]&x=1"),
        ("not one", "@app.route a@b user@localhost foo@1.2.3 lodash@4.17.21 x @ y.T a@b.shape"),
        ("repository", "git@github.com:owner/name.git"),
        ("IPv4", "from [ip 192.168.1.17] to [ip 203.0.113.9]:8080, [ip 10.0.0.0]/8"),
        ("in Chinese", "服务器地址[ip 203.0.113.9]。"),
        ("says nothing about anybody", "127.0.0.1 0.0.0.0 255.255.255.0 255.0.0.0"),
        ("ranges", "[ip 10.1.0.1]-[ip 10.1.0.9], 10.1.0.1-beta"),
        ("no address", "1.2.3 1.2.3.4.5 256.1.1.1 01.02.03.04 v1.2.3.4 version 1.2.3.4"),
        ("IPv6", "[ip 2001:db8::1], [ip fe80::1ff:fe23:4567:890a], [ip 2001:0db8:85a3:0000:0000:8a2e:0370:7334]"),
        ("IPv6 in a URL", "http://[[ip 2001:db8::1]]:8080/"),
        ("code and clocks", "std::string a::b dead::beef 12:30:45 x[1::2] ::1 aa:bb:cc:dd:ee:ff"),
        ("URL with password", "postgres://[url_credentials user:s3cret@pw]@db.example.com:5432/x"),
        ("URL without", "https://example.com:8080/a@b http://user@example/"),
    ]);
}

#[test]
fn keys_and_secrets() {
    check(&[
        (
            "OpenAI",
            "[api_key sk-proj-4fj3kQx9LmZ2pR7tYv8wB1nC] and [api_key sk-abcdEFGH1234ijklMNOP5678qrstUVWX9012yzAB3456cdEF]",
        ),
        ("Anthropic", "x [api_key sk-ant-api03-Zk3v_9aQ-2bT8LxYwPq7NmRs4VuE1dCfGhJk0]"),
        ("GitHub", "[api_key ghp_16C7e42F292c6912E7710c838347Ae178B4a]"),
        (
            "GitHub, fine-grained",
            "[api_key github_pat_11ABCDEFG0abcdefghij_1234567890abcdefghijKLMNOPQRSTUVWXYZabcdefghijklmnopqrst]",
        ),
        ("Amazon", "id [api_key AKIAIOSFODNN7EXAMPLE]"),
        ("Amazon's secret", "aws_secret_access_key = [secret wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY12]"),
        ("Slack", "[api_key xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx]"),
        ("Google", "[api_key AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY]"),
        ("Hugging Face", "[api_key hf_abcdEFGHijklMNOPqrstUVWXyz1234567a]"),
        ("GitLab", "[api_key glpat-xYz12AbC34dEf56GhI78]"),
        (
            "JWT",
            "[jwt eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U]",
        ),
        ("Bearer", "Authorization: Bearer [secret 7f3kQx9LmZ2pR7tYv8wB1nCq]"),
        (
            "Bearer of a JWT",
            "Authorization: Bearer [jwt eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U]",
        ),
        ("Basic", "Authorization: Basic [secret dXNlcjpwYXNz], authorization: basic auth"),
        (
            "encrypted token",
            "[jwt eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6ji.XFBoMYUZodetZdvTiFvSkQ]",
        ),
        ("password", "password: [secret hunter2], then"),
        ("a short name for it", "pw: [secret Secret12]"),
        ("password in quotes", "\"password\": \"[secret p@ss w0rd!]\", 'pwd'='[secret abc123]'"),
        ("in Chinese", "密码：[secret abc12345]，口令:[secret qwe!123]"),
        ("environment", "export DB_PASSWORD=[secret s3cr3tPass]"),
        ("key in a query", "?api_key=[secret 4f3a9c1b7d2e8f60a1b2c3d4]&x=1"),
        ("vendor's key by name", "OPENAI_API_KEY=[api_key sk-proj-4fj3kQx9LmZ2pR7tYv8wB1nC]"),
        (
            "no secret",
            "password: required; token: string, key: value, password = input(\"Password: \"), max_tokens=4096, token = tokenizer.encode(x)",
        ),
        ("placeholders", "password=${PASSWORD} token: <your-token> api_key=YOUR_API_KEY password: ********"),
        ("names, no keys", "sk-folding-cube-spinner-element xai-something-else hf_transformers_library_models"),
        (
            "private key",
            "[private_key -----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nq/+=\n-----END RSA PRIVATE KEY-----]\nend",
        ),
        (
            "private key, escaped",
            "\"[private_key -----BEGIN PRIVATE KEY-----\\nMIIEvQ\\n-----END PRIVATE KEY-----]\\n\"",
        ),
        ("public key", "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkq\n-----END PUBLIC KEY-----"),
    ]);
}

#[test]
fn secrets_that_a_word_tells() {
    check(&[
        ("a sentence", "my password is [secret hunter2], thanks. The pwd is: [secret Tr0ub4dor!3]"),
        ("of something", "the password for the guest wifi is [secret blue-Fish7]; Password is \"[secret abc 123]\""),
        ("in Chinese", "密码是[secret abc12345]，密码为：[secret qwe!123]。我的密码改为 [secret Zx9876]"),
        ("no password", "password is required, password is 8-20 characters, 密码为空, 密码是什么, newspaper is 12345a"),
        (
            "passphrase",
            "passphrase: [secret correct horse battery staple]\nnext: line, Passphrase=[secret one two three].",
        ),
        (
            "seed",
            "seed phrase: [secret abandon ability able about above absent]\n助记词：[secret legal winner thank year]",
        ),
        ("no passphrase", "passphrase: required; passphrase: str = None, passphrase: Option<String>"),
        ("cookies", "GET / HTTP/1.1\r\nCookie: [secret sid=8fj3kQx9; theme=dark]\r\nHost: x"),
        ("cookies set", "Set-Cookie: [secret id=a3fWa; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly]"),
        (
            "cookies in a command",
            "curl -H 'Cookie: [secret sid=8fj3kQx9]' https://example.com, {\"cookie\": \"[secret a=b; c=d]\"}",
        ),
        ("no cookies", "Cookie: none, and cookies are nice"),
        ("PIN", "PIN: [secret 4821], pin code [secret 482193], my PIN is [secret 0042]"),
        (
            "codes",
            "Your verification code is [secret 482193]. OTP: [secret 123-456], security code [secret 482 193], CVV [secret 123]",
        ),
        (
            "codes before their word",
            "[secret 482193] is your Acme login code. [secret G-482193] is your Google verification code",
        ),
        (
            "codes in Chinese",
            "验证码[secret 482193]，短信验证码：[secret 8842]，[secret 591028]是您的验证码，动态密码 [secret 123456]",
        ),
        ("no codes", "error code: 4821, zip code 94105, code 482193, pin 12, PIN 2024-11-25, spin 48213"),
        ("Docker", "docker login -p [api_key dckr_pat_4fj3kQx9LmZ2pR7tYv8wB1nCqXs]"),
        (
            "Slack's webhook",
            "https://hooks.slack.com/services/[api_key T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX] posts",
        ),
        (
            "Amazon's secret key",
            "aws_secret_access_key = [secret wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY], aws configure set aws_secret_access_key [secret /JalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY]",
        ),
        (
            "Amazon's secret key in JSON",
            "\"AWS_SECRET_ACCESS_KEY\": \"[secret +JalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY]\"",
        ),
        ("card with two spaces", "card [card 4111  1111  1111  1111], 12  34  [phone 13812345678]  56"),
    ]);
}

#[test]
fn the_same_value_has_the_same_token() {
    let token = |text: &str| masker().find(text).into_iter().map(|finding| finding.token).collect::<Vec<_>>();
    for (why, spellings) in [
        ("phone", &["+86 13812345678", "138-1234-5678", "１３８１２３４５６７８", "0086 138 1234 5678"][..]),
        ("landline", &["+86 10 65529988", "010-65529988", "(010) 6552 9988", "010-6552-9988-801"]),
        ("North America", &["(415) 555-2671", "+1 415 555 2671", "1-415-555-2671"]),
        ("Britain", &["+44 (0)20 7946 0958", "+44 20 7946 0958", "+44-20-7946-0958"]),
        ("Manchester", &["+44 161 496 0000", "0161 496 0000"]),
        ("card", &["4111111111111111", "4111-1111-1111-1111", "４１１１　１１１１　１１１１　１１１１"]),
        ("old and new id", &["11010519491231002X", "110105 19491231 002x", "110105491231002"]),
        ("IBAN", &["DE89370400440532013000", "de89 3704 0044 0532 0130 00"]),
        ("e-mail", &["A.B@example.com", "a.b@EXAMPLE.com"]),
        ("IP", &["2001:db8::1", "2001:0DB8:0:0:0:0:0:1"]),
    ] {
        let tokens: Vec<_> = spellings.iter().map(|text| token(text)).collect();
        assert!(tokens.iter().all(|found| found.len() == 1 && *found == tokens[0]), "{why}: {tokens:?}");
    }
    let other = Masker::new(b"another salt, also long", &MaskOptions::default()).unwrap();
    assert_ne!(other.find("13812345678")[0].token, token("13812345678")[0], "without the salt nothing is known");
}

#[test]
fn own_patterns_stand_beside_the_built_in_kinds() {
    let own = |name: &str, regex: &str| OwnPattern { name: name.into(), regex: regex.into() };
    let with = |own: Vec<OwnPattern>, off: Vec<Kind>| Masker::new(&[7; 16], &MaskOptions { off, own, digits: 8 });
    let masker = with(vec![own("employee_id", "EMP-[0-9]{6}"), own("long", r"EMP-\d+ \S+")], vec![Kind::Ip]).unwrap();
    for (why, text, expected) in [
        ("own", "by EMP-123456.", "by [employee_id EMP-123456]."),
        ("longest wins", "EMP-123456x@example.com", "[email EMP-123456x@example.com]"),
        ("all of an overlap goes", "EMP-7 13812345678-801", "[long EMP-7 13812345678-801]"),
        ("off", "10.1.2.3 and a@example.com", "10.1.2.3 and [email a@example.com]"),
    ] {
        assert_eq!(shown(&masker, text), expected, "{why}");
        let once = masker.mask(text).text.into_owned();
        assert_eq!(masker.mask(&once).text, once, "{why}: masking twice");
    }
    for (why, patterns, part) in [
        ("no expression", vec![own("a", "(x")], "no regular expression"),
        ("empty text", vec![own("a", "x*")], "matches the empty text"),
        ("no name", vec![own("a-b", "x")], "is no name"),
        ("built-in name", vec![own("Phone", "x")], "is taken"),
        ("twice", vec![own("a", "x"), own("A", "y")], "is taken"),
        ("too large", vec![own("a", r"\w{5000}")], "no regular expression"),
    ] {
        let said = with(patterns, Vec::new()).unwrap_err().to_string();
        assert!(said.contains(part), "{why}: {said}");
    }
    assert_eq!(Masker::new(b"short", &MaskOptions::default()).unwrap_err(), MaskError::ShortSalt { have: 5 });
}

#[test]
fn a_text_without_secrets_is_borrowed() {
    for text in ["", "plain words", "你好，今天天气不错。", "a < b", "1 2 3", "\u{ff21}\u{ff22}"] {
        let masked = masker().mask(text);
        assert!(matches!(masked.text, Cow::Borrowed(_)) && masked.counts.is_empty(), "{text}");
    }
}

#[test]
fn kinds_alone_are_the_same_under_every_salt() {
    let [one, two] = ["0123456789abcdef", "fedcba9876543210"]
        .map(|salt| Masker::new(salt.as_bytes(), &MaskOptions::default()).unwrap());
    for (text, expected) in [
        ("write to a.b@example.com < 5, then to c@example.org", "write to <EMAIL> < 5, then to <EMAIL>"),
        ("手机号13812345678，<好>", "手机号<PHONE>，<好>"),
        ("nothing", "nothing"),
        ("<", "<"),
    ] {
        assert_eq!([one.mask_to_kinds(text), two.mask_to_kinds(text)], [expected, expected], "{text}");
    }
}

#[test]
fn what_is_written_otherwise_is_found_all_the_same() {
    check(&[
        ("invisible characters inside", "call [phone 138\u{200b}1234\u{200d}5678], [email a.b@exam\u{ad}ple.com]"),
        ("mathematical digits", "电话[phone 𝟏𝟑𝟖𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖] [email 𝐚𝐛@example.com]"),
        ("Arabic digits", "call [phone +٨٦١٣٨١٢٣٤٥٦٧٨]"),
        ("small at sign", "[email zhang﹫qq.com]"),
        (
            "escaped line end before",
            r"text\n[phone 13812345678]\n[api_key sk-proj-4fj3kQx9LmZ2pR7tYv8wB1nC]\tpwd: [secret abc123]",
        ),
        ("JSON in JSON", r#"{\"password\": \"[secret hunter2]\", \"to\": \"[email a@example.com]\"}"#),
        ("escaped Chinese", r"\u624b\u673a[phone 13812345678]\uff0c\u8c22"),
        ("escaped at sign", r"[email zhang\u0040qq.com]"),
        (
            "escaped in a URL",
            "?tel=[phone %2B8613812345678]&q=phone%20[phone 13812345678]&n=%E6%9C%BA[phone 13912345678]",
        ),
        ("HTML", "[email zhang&#64;qq.com] [email zhang&#x40;qq.com]<br>password: [secret abc12345]<br>"),
        ("card over two lines", "card [card 4111 1111\n1111 1111], id [cn_id 1101051949\n1231002X]"),
        ("list of numbers", "[phone 13812345678]\n[phone 13912345678]\n[phone 13712345678]"),
        (
            "a long row",
            "12 [phone 138 1234 5678] [phone 139 1234 5678] [phone 137 1234 5678] [phone 136 1234 5678] [phone 135 1234 5678]",
        ),
        ("code and figures", r"C:\new\temp \frac{12}{13} 100% of 25%12 \u12 &#; &amp; 5%"),
    ]);
}

#[test]
fn numbers_that_a_word_tells() {
    check(&[
        ("social security", "SSN [ssn 123-45-6789], ssn: [ssn 123456789], social security number [ssn 123 45 6789]"),
        (
            "no social security number",
            "000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000 123456789 1-123-45-6789",
        ),
        (
            "passport",
            "passport [passport E12345678], 护照号码：[passport EA1234567]，passport no. [passport 512345678]",
        ),
        ("no passport", "part E12345678 and 512345678"),
        ("plates", "车牌[plate 京A12345]，[plate 粤B·D12345]，[plate 沪A 88G66]，[plate 苏E12345D]"),
        ("no plates", "华A12345 京A1234 京AI2345 京O00000000 新款A12345"),
        (
            "birth dates",
            "born on [birth_date 3 May 1985], DOB: [birth_date 1985-05-03], date of birth [birth_date 05/03/1985], born [birth_date May 3, 1985]",
        ),
        ("in Chinese", "出生日期：[birth_date 1985年5月3日]，生日[birth_date 19850503]，[cn_id 11010519491231002X]"),
        ("other dates", "on 3 May 1985, 2024-11-25, version of 2024-11-25; born in a year, then 2024-13-45"),
    ]);
}
