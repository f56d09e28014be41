"""Values of every kind in the formats that public documentation gives, and numbers that only look like them.

Sources: ITU-T E.123 and E.164, national numbering plans, GB 11643, ISO/IEC 7812 (network lists of Wikipedia), ISO 13616
(registry examples), RFC 4291, RFC 5321, RFC 7468, RFC 7519, key formats as vendors document them. Nothing here is taken
from the recogniser under test.
"""

import base64
import json
import string

DIGITS = string.digits
ALNUM = string.ascii_letters + string.digits
URLSAFE = ALNUM + "-_"
HEX = "0123456789abcdef"


def pick(rng, letters, n):
    return "".join(rng.choice(letters) for _ in range(n))


def number(rng, n, first="123456789"):
    return rng.choice(first) + pick(rng, DIGITS, n - 1)


# e-mail

FIRST = "anna ben carla david elena frank grace henry ivy jack li wang zhang chen liu maria omar petra sven yuki".split()
LAST = "smith jones mueller rossi garcia novak silva tanaka kim zhao qian sun wu zheng feng xu he lin gao luo".split()
DOMAINS = ("gmail.com outlook.com yahoo.co.uk example.org mail.company.com qq.com 163.com 126.com sina.com.cn uni-bonn.de "
           "foxmail.com proton.me startup.io corp.example.net kyoto-u.ac.jp service.gov.uk aliyun.com").split()


def email(rng):
    a, b = rng.choice(FIRST), rng.choice(LAST)
    year = str(rng.randint(60, 99))
    local = rng.choice([f"{a}.{b}", f"{a}{b}{year}", f"{a[0]}{b}", f"{a}_{b}", f"{a}.{b}+news", f"{a}-{b}", f"{number(rng, 9)}",
                        f"{a.title()}.{b.title()}", f"{a}{number(rng, 4)}", f"{a}.{b}.{year}", f"info", f"sales-{a}"])
    return f"{local}@{rng.choice(DOMAINS)}"


# telephone

CN_MOBILE = ("130 131 132 133 134 135 136 137 138 139 145 147 150 151 152 153 155 156 157 158 159 166 170 171 173 175 176 177 "
             "178 180 181 182 183 184 185 186 187 188 189 191 193 195 198 199").split()
CN_AREA = "010 021 022 023 024 025 027 028 029 0311 0351 0371 0431 0451 0512 0532 0571 0592 0731 0755 0769 0851 0898 0991".split()


def cn_mobile(rng):
    a, b, c = rng.choice(CN_MOBILE), pick(rng, DIGITS, 4), pick(rng, DIGITS, 4)
    return rng.choice([a + b + c] * 4 + [f"{a}-{b}-{c}", f"{a} {b} {c}", f"+86{a}{b}{c}", f"+86 {a} {b} {c}", f"+86-{a}{b}{c}",
                                         f"86-{a}{b}{c}", f"0086 {a}{b}{c}", f"(+86) {a} {b} {c}", f"+86 {a}-{b}-{c}"])


def cn_landline(rng):
    area = rng.choice(CN_AREA)
    n = 8 if len(area) == 3 or rng.random() < 0.7 else 7
    sub = number(rng, n, "2345678")
    return rng.choice([f"{area}-{sub}"] * 3 + [f"{area} {sub}", f"({area}){sub}", f"({area}) {sub[:-4]} {sub[-4:]}",
                                               f"{area}-{sub[:-4]}-{sub[-4:]}", f"+86 {area[1:]} {sub}", f"{area}-{sub}-{number(rng, 3)}"])


def us_phone(rng):
    area = rng.choice("212 213 310 312 404 415 503 512 617 646 702 713 718 773 808 818 917 202 206 305".split())
    ex, sub = rng.choice("234567") + pick(rng, "023456789", 2), pick(rng, DIGITS, 4)
    return rng.choice([f"({area}) {ex}-{sub}"] * 2 + [f"{area}-{ex}-{sub}"] * 2 + [f"{area}.{ex}.{sub}", f"+1 {area} {ex} {sub}", f"+1-{area}-{ex}-{sub}",
                                                      f"1-{area}-{ex}-{sub}", f"+1{area}{ex}{sub}", f"{area} {ex} {sub}", f"+1 ({area}) {ex}-{sub}", f"{area}{ex}{sub}"])


def world_phone(rng):
    d = lambda n: pick(rng, DIGITS, n)
    return rng.choice([
        lambda: f"+44 20 7{d(3)} {d(4)}", lambda: f"+44 7{d(3)} {d(6)}", lambda: f"07{d(3)} {d(6)}", lambda: f"020 7{d(3)} {d(4)}",
        lambda: f"0161 4{d(2)} {d(4)}", lambda: f"+44 (0)20 7{d(3)} {d(4)}", lambda: f"+49 30 {number(rng, 8)}", lambda: f"+49 151 {number(rng, 8)}",
        lambda: f"+49 (0)89 {number(rng, 7)}", lambda: f"+33 6 {d(2)} {d(2)} {d(2)} {d(2)}", lambda: f"06 {d(2)} {d(2)} {d(2)} {d(2)}", lambda: f"+81 90-{number(rng, 4)}-{d(4)}",
        lambda: f"090-{number(rng, 4)}-{d(4)}", lambda: f"03-{number(rng, 4, '3456')}-{d(4)}", lambda: f"+91 9{d(4)} {d(5)}", lambda: f"+91-9{d(9)}",
        lambda: f"+61 4{d(2)} {d(3)} {d(3)}", lambda: f"04{d(2)} {d(3)} {d(3)}", lambda: f"+852 {number(rng, 4, '2569')} {d(4)}", lambda: f"+65 {number(rng, 4, '689')} {d(4)}",
        lambda: f"+55 11 9{d(4)}-{d(4)}", lambda: f"+971 50 {number(rng, 3)} {d(4)}", lambda: f"+7 495 {number(rng, 3)}-{d(2)}-{d(2)}", lambda: f"+34 6{d(2)} {d(3)} {d(3)}",
        lambda: f"+39 06 {number(rng, 8)}", lambda: f"+82 10-{number(rng, 4)}-{d(4)}", lambda: f"+351 9{d(2)} {d(3)} {d(3)}", lambda: f"+420 {number(rng, 3)} {d(3)} {d(3)}",
    ])()


# Chinese resident id

REGIONS = "110105 120101 130102 140105 210102 220104 230103 310115 320106 330106 340104 350203 370202 410105 420106 430102 440305 450103 500108 510107 520102 530102 610113 620102".split()


def check_character(seventeen):
    weights = [2 ** (17 - i) % 11 for i in range(17)]
    remainder = sum(int(c) * w for c, w in zip(seventeen, weights)) % 11
    return "10X98765432"[remainder]


def birthday(rng):
    return f"{rng.randint(1940, 2010)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"


def cn_id(rng):
    body = rng.choice(REGIONS) + birthday(rng) + pick(rng, DIGITS, 3)
    full = body + check_character(body)
    return rng.choice([full] * 6 + [full.lower(), f"{full[:6]} {full[6:14]} {full[14:]}", f"{full[:6]}-{full[6:14]}-{full[14:]}"])


def cn_id_old(rng):
    return rng.choice(REGIONS) + birthday(rng)[2:] + number(rng, 3)


# cards


def luhn(body):
    total = sum(sum(divmod(int(c) * (2 if i % 2 == 0 else 1), 10)) for i, c in enumerate(reversed(body)))
    return str(-total % 10)


NETWORK = [("4", 16), ("4", 16), ("51", 16), ("53", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15), ("37", 15), ("6011", 16), ("65", 16),
           ("36", 14), ("3056", 14), ("3528", 16), ("3589", 16), ("622202", 19), ("622848", 19), ("621700", 19), ("62", 16), ("6759", 16)]


def card_digits(rng):
    prefix, length = rng.choice(NETWORK)
    body = prefix + pick(rng, DIGITS, length - len(prefix) - 1)
    return body + luhn(body)


def grouped(rng, digits):
    if len(digits) == 15:
        parts = [digits[:4], digits[4:10], digits[10:]]
    elif len(digits) == 14:
        parts = [digits[:4], digits[4:10], digits[10:]]
    else:
        parts = [digits[i:i + 4] for i in range(0, len(digits), 4)]
    return rng.choice([digits, digits, " ".join(parts), "-".join(parts)])


def card(rng):
    return grouped(rng, card_digits(rng))


# IBAN: country, then the form of its account part (n digits, a letters or digits, c capitals), from the registry

IBANS = {"DE": "n18", "GB": "c4n14", "FR": "n10a11n2", "ES": "n20", "IT": "c1n10a12", "NL": "c4n10", "CH": "n5a12", "AT": "n16", "BE": "n12",
         "PL": "n24", "SE": "n20", "NO": "n11", "DK": "n14", "FI": "n14", "IE": "c4n14", "PT": "n21", "CZ": "n20", "LU": "n3a13", "SA": "n2a18", "AE": "n19", "TR": "n6a16"}


def iban(rng):
    import re
    country, form = rng.choice(sorted(IBANS.items()))
    sets = {"n": DIGITS, "a": DIGITS + string.ascii_uppercase, "c": string.ascii_uppercase}
    bban = "".join(pick(rng, sets[k], int(n)) for k, n in re.findall(r"([nac])(\d+)", form))
    rest = int("".join(str(int(c, 36)) for c in bban + country + "00")) % 97
    whole = f"{country}{98 - rest:02}{bban}"
    return rng.choice([whole, whole, " ".join(whole[i:i + 4] for i in range(0, len(whole), 4))])


# addresses of hosts


def ipv4(rng):
    return rng.choice([f"192.168.{rng.randint(0, 255)}.{rng.randint(1, 254)}", f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
                       f"172.{rng.randint(16, 31)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}", f"{rng.choice([8, 23, 47, 81, 101, 114, 142, 185, 203])}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"])


def ipv6(rng):
    h = lambda: f"{rng.randint(0, 0xffff):x}"
    return rng.choice([lambda: f"2001:db8::{h()}", lambda: f"fe80::{h()}:{h()}:{h()}:{h()}", lambda: "2a02:" + ":".join(h() for _ in range(7)), lambda: f"2606:4700:{h()}::{h()}:{h()}",
                       lambda: f"fd{pick(rng, HEX, 2)}:{h()}:{h()}::{h()}", lambda: "2001:0db8:" + ":".join(pick(rng, HEX, 4) for _ in range(6))])()


def ip(rng):
    return ipv4(rng) if rng.random() < 0.7 else ipv6(rng)


# secrets


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(rng):
    head = {"alg": rng.choice(["HS256", "RS256", "ES256"]), "typ": "JWT"}
    if rng.random() < 0.4:
        head["kid"] = pick(rng, HEX, 8)
    body = {"sub": number(rng, 10), "name": rng.choice(FIRST), "iat": 1516239022, "exp": rng.randint(1700000000, 1800000000)}
    dump = lambda o: b64url(json.dumps(o, separators=(",", ":")).encode())
    return f"{dump(head)}.{dump(body)}.{b64url(rng.randbytes(32 if head['alg'] == 'HS256' else 64))}"


def api_key(rng):
    a, h, u = (lambda n: pick(rng, ALNUM, n)), (lambda n: pick(rng, HEX, n)), (lambda n: pick(rng, URLSAFE, n - 1) + rng.choice(ALNUM))
    return rng.choice([
        lambda: f"sk-{a(48)}", lambda: f"sk-proj-{u(74)}T3BlbkFJ{u(74)}", lambda: f"sk-ant-api03-{u(93)}AA", lambda: f"sk-or-v1-{h(64)}", lambda: f"sk-{h(32)}",
        lambda: f"ghp_{a(36)}", lambda: f"gho_{a(36)}", lambda: f"ghs_{a(36)}", lambda: f"github_pat_{a(22)}_{a(59)}", lambda: f"glpat-{u(20)}",
        lambda: f"AKIA{pick(rng, string.ascii_uppercase + '234567', 16)}", lambda: f"ASIA{pick(rng, string.ascii_uppercase + '234567', 16)}",
        lambda: f"xoxb-{number(rng, 12)}-{number(rng, 13)}-{a(24)}", lambda: f"xoxp-{number(rng, 12)}-{number(rng, 12)}-{number(rng, 12)}-{h(32)}", lambda: f"AIza{u(35)}", lambda: f"hf_{pick(rng, string.ascii_letters, 34)}",
        lambda: f"sk_live_{a(24)}", lambda: f"rk_live_{a(24)}", lambda: f"npm_{a(36)}", lambda: f"SG.{u(22)}.{u(43)}", lambda: f"gsk_{a(52)}", lambda: f"dop_v1_{h(64)}", lambda: f"shpat_{h(32)}",
        lambda: f"LTAI{a(20)}", lambda: f"pypi-AgEIcHlwaS5vcmc{u(150)}",
    ])()


def password(rng):
    word = rng.choice("summer dragon monkey welcome tiger flower qwerty admin hunter football".split())
    return rng.choice([f"{word.title()}{rng.randint(1, 2025)}!", f"{word}{number(rng, 4)}", f"{pick(rng, ALNUM, 9)}{rng.choice(DIGITS)}{rng.choice('!#%+@')}", f"{word[0].upper()}{word[1:3]}@{number(rng, 5)}", f"{pick(rng, ALNUM, 11)}7"])


def random_token(rng):
    return rng.choice([lambda: pick(rng, HEX, 32), lambda: pick(rng, HEX, 40), lambda: base64.b64encode(rng.randbytes(30)).decode(), lambda: pick(rng, ALNUM, 32)])()


def pem(rng):
    label = rng.choice(["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY"])
    body = base64.b64encode(rng.randbytes(rng.choice([121, 300, 610]))).decode()
    lines = [body[i:i + 64] for i in range(0, len(body), 64)]
    newline = rng.choice(["\n", "\n", "\\n"])
    return newline.join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----"])


# what a word tells: Social Security Administration (areas that are given out), GA 36 (plates), ICAO 9303 and the
# formats of the Chinese, German, British and American passports


def ssn(rng):
    area = rng.choice([n for n in range(1, 900) if n != 666])
    parts = f"{area:03}", f"{rng.randint(1, 99):02}", f"{rng.randint(1, 9999):04}"
    return rng.choice(["-", "-", "-", " ", ""]).join(parts)


def passport(rng):
    return rng.choice([f"E{number(rng, 8)}", f"E{rng.choice('ABCDEFGH')}{number(rng, 7)}", f"G{number(rng, 8)}", number(rng, 9), f"C{number(rng, 8)}"])


PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
PLATE = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def plate(rng):
    letter, dot = rng.choice(PLATE[:18]), rng.choice(["", "", "·"])
    blue = "".join(rng.sample([rng.choice(PLATE)] + list(pick(rng, DIGITS, 4)), 5))
    green = rng.choice("DF") + pick(rng, DIGITS, 5)
    return f"{rng.choice(PROVINCES)}{letter}{dot}{rng.choice([blue, pick(rng, DIGITS, 5), green])}"


MONTHS = "January February March April May June July August September October November December".split()


def birth_date(rng):
    y, m, d = rng.randint(1935, 2015), rng.randint(1, 12), rng.randint(1, 28)
    name = MONTHS[m - 1]
    return rng.choice([f"{y}-{m:02}-{d:02}", f"{d:02}/{m:02}/{y}", f"{m}/{d}/{y}", f"{d}.{m}.{y}", f"{d} {name} {y}", f"{name} {d}, {y}", f"{d} {name[:3]} {y}", f"{name[:3]} {d}, {y}"])


def birth_date_zh(rng):
    y, m, d = rng.randint(1935, 2015), rng.randint(1, 12), rng.randint(1, 28)
    return rng.choice([f"{y}年{m}月{d}日", f"{y}-{m:02}-{d:02}", f"{y}.{m}.{d}", f"{y}{m:02}{d:02}", f"{y}/{m}/{d}"])


# numbers and words that are none of these


def wrong_digit(rng, text, last):
    digits = [i for i, c in enumerate(text) if c.isdigit()]
    at = digits[-1] if last else rng.choice(digits[4:])
    return text[:at] + str((int(text[at]) + rng.randint(1, 9)) % 10) + text[at + 1:]


def bad_card(rng):
    return wrong_digit(rng, card(rng), True)


def bad_cn_id(rng):
    body = rng.choice(REGIONS) + birthday(rng) + pick(rng, DIGITS, 3)
    return body + rng.choice([c for c in "0123456789" if c != check_character(body)])


def bad_iban(rng):
    good = iban(rng)
    return good[:3] + str((int(good[3]) + rng.randint(1, 9)) % 10) + good[4:]


def uuid(rng):
    h = pick(rng, HEX, 32)
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"


def version(rng):
    d = lambda n=20: rng.randint(0, n)
    return rng.choice([lambda: f"v{d()}.{d()}.{d()}", lambda: f"{d()}.{d()}.{d()}", lambda: f"version {d()}.{d()}.{d()}.{d()}", lambda: f"Chrome/{d(130)}.0.{rng.randint(1000, 7000)}.{d(200)}",
                       lambda: f"v{d()}.{d()}.{d()}.{d()}", lambda: f"10.0.{rng.randint(19041, 26100)}.{d(5000)}", lambda: f"{d()}.{d()}.{d()}-beta.{d()}", lambda: f"numpy=={d()}.{d()}.{d()}"])()


def time(rng):
    y, mo, da, h, mi, s = rng.randint(2015, 2026), rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23), rng.randint(0, 59), rng.randint(0, 59)
    return rng.choice([f"{y}-{mo:02}-{da:02}", f"{y}-{mo:02}-{da:02} {h:02}:{mi:02}:{s:02}", f"{y}-{mo:02}-{da:02}T{h:02}:{mi:02}:{s:02}Z", f"{da:02}.{mo:02}.{y}", f"{mo}/{da}/{y}", f"{h:02}:{mi:02}:{s:02}",
                       f"{rng.randint(1500000000, 1790000000)}", f"{rng.randint(1500000000000, 1790000000000)}", f"{y}{mo:02}{da:02}{h:02}{mi:02}{s:02}", f"{rng.randint(1500000000, 1790000000)}.{pick(rng, DIGITS, 6)}"])


def price(rng):
    n = rng.randint(10, 99999999)
    return rng.choice([f"${n:,}.{rng.randint(0, 99):02}", f"€{n}", f"¥{n}", f"{n:,}", f"{n / 100:.2f} EUR", f"{n:,} tokens", f"{n * 1000}"])


def order(rng):
    return rng.choice([f"ORD-{number(rng, 8)}", f"SO{number(rng, 10)}", f"2024{number(rng, 12)}", f"INV-2024-{number(rng, 5)}", f"#{number(rng, 7)}", f"{number(rng, 9)}", f"1Z{pick(rng, DIGITS + string.ascii_uppercase, 16)}",
                       f"SF{number(rng, 13)}", f"{number(rng, 10, '1')}", f"{number(rng, 20, '7')}", f"B0{pick(rng, DIGITS + string.ascii_uppercase, 8)}", f"978-3-16-{number(rng, 6)}-0"])


def digest(rng):
    return rng.choice([pick(rng, HEX, 32), pick(rng, HEX, 40), pick(rng, HEX, 64), f"sha256:{pick(rng, HEX, 64)}", pick(rng, HEX, 7), uuid(rng), f"0x{pick(rng, HEX, 16)}", ":".join(pick(rng, HEX, 2) for _ in range(6))])


def maths(rng):
    d = lambda n: rng.randint(10 ** (n - 1), 10 ** n)
    return rng.choice([f"3.14159265358979", f"{d(6)} * {d(5)} = {d(11)}", f"x + {d(8)}", f"[{d(3)}, {d(4)}, {d(3)}, {d(5)}]", f"{d(3)} {d(3)} {d(4)}", f"({d(3)}) {d(2)}-{d(2)}", f"1e-{d(1)}", f"0.{d(12)}", f"2^{d(2)} = {d(13)}",
                       f"{d(2)}.{d(4)}, -{d(3)}.{d(6)}", f"f(x) = {d(1)}x^2 + {d(2)}", f"{d(4)}x{d(4)}", f"{d(4)}-{d(4)}", f"{d(2)}-{d(2)}", f"A@B.T + {d(2)}"])


CODE = ["std::vector<int> v(10);", "use std::fmt::Write;", "@app.route('/users')", "x[::2]", "arr[1:10:2]", "password = input('Password: ')", "token = tokenizer.encode(text)", "api_key = os.environ['API_KEY']",
        "self.password = password", "if password is None: return", "max_tokens=4096", "secret: str = field(default='')", "def login(user: str, password: str) -> bool:", "npm install lodash@4.17.21", "pip install torch==2.1.0", "git clone git@github.com:owner/repo.git",
        "password: ${DB_PASSWORD}", "token: <YOUR_TOKEN>", "http://localhost:8080/health", "127.0.0.1:5432", "bind 0.0.0.0", "y = a @ b.T", "<div class=\"sk-folding-cube\">", "key=value", "primary_key=True", "C = A@B.sum()", "assert len(s) == 11", "for i in range(10000000):", "0xdeadbeef", "color: #ff00aa;", "margin: 0 10px 0 10px", "CVE-2024-12345678", "RFC 7231 6.5.1"]


def code(rng):
    return rng.choice(CODE)
