#!/usr/bin/env python3
"""Writes a labelled corpus for masking: JSONL, one text a line: {"text", "lang", "items": [{"kind", "start", "end"}]}.

    corpus.py OUT.jsonl [ITEMS] [SEED]

Positions are characters. English and Chinese in equal parts; the values come from values.py, the sentences below.
A fifth of the values in Chinese texts stand directly among the characters, some in full-width digits.
"""

import json
import random
import sys

import values as v

KINDS = {
    "email": (v.email, [
        "Please send the invoice to {}.", "My email is {}, thanks!", "You can reach {} until Friday.", "From: {}\nSubject: hello", "cc {} and legal", "<{}> wrote:", "Contact: {}; phone on request", "Is {} still valid?", "login={}&next=/home", "Reply to ({})"],
        ["请发到{}，谢谢", "我的邮箱是{}。", "邮箱：{}", "联系{}就行", "发件人:{} 收件人未填", "账号{}登录不了", "【{}】已注册", "抄送给{}和法务"]),
    "phone": (None, [
        "Call me at {} after six.", "My phone number is {}.", "Tel: {}", "You can text {} any time.", "Phone {} / office hours only", "mobile: {}, ask for Ben", "If nobody answers, dial {}!", "WhatsApp {}", "contact number: {}", "Please call back on {}, it is urgent.", "fax {}"],
        ["我的电话是{}。", "手机号{}，请尽快联系", "电话：{}", "联系方式:{}(微信同号)", "打{}找王先生", "请拨打{}", "手机{}收不到验证码", "客户张三,{},北京", "收件人李四{}上海市", "座机：{}"]),
    "cn_id": (v.cn_id, ["His resident id is {}.", "ID card no. {}", "Chinese ID: {} (checked)", "id_number={}"],
        ["身份证号：{}", "我的身份证号码是{}，麻烦查一下", "证件号{}", "身份证{}已过期", "姓名王五，身份证{}，男", "证件类型：身份证 证件号码：{}"]),
    "card": (v.card, ["My card number is {}.", "Charge {} please", "Visa {} exp 12/27", "The card {} was declined twice.", "card={}", "I paid with {} yesterday.", "Please block {} at once!"],
        ["卡号：{}", "银行卡{}被冻结了", "我的信用卡号是{}。", "请往{}转账", "工行卡{}，户名王五", "卡号{}，有效期12/27"]),
    "iban": (v.iban, ["Transfer it to {}.", "IBAN: {}", "My account is {}, thank you", "iban={}", "Please pay to {} by Monday"], ["汇款到{}", "IBAN：{}", "账户{}，开户行德意志银行", "国际账号{}。"]),
    "ip": (v.ip, ["The server {} does not answer.", "ping {}", "Connection from {} refused", "host={} port=5432", "ssh root@{}", "My IP is {}.", "Failed login from {}, blocked", "see {} in the log"],
        ["服务器{}连不上", "IP地址：{}", "来自{}的请求被拒绝", "登录IP{}，异常", "请把{}加入白名单", "内网地址是{}。"]),
    "jwt": (v.jwt, ["Here is my token {} why is it refused?", "Authorization: Bearer {}", "token={}", "decode {}", "\"access_token\": \"{}\""], ["我的token是{}，为什么报错", "令牌：{}", "请求头 Authorization: Bearer {}"]),
    "api_key": (v.api_key, ["My key {} does not work.", "export OPENAI_API_KEY={}", "api_key = \"{}\"", "client = Client('{}')", "I pushed {} to the repo by accident", "Authorization: Bearer {}", "key: {}"],
        ["我的key是{}，报401", "密钥：{}", "api_key=\"{}\"", "不小心把{}提交了", "用{}调用接口"]),
    "secret": (None, ["password: {}", "My password={} does not work", "\"password\": \"{}\"", "DB_PASSWORD={}", "pwd: {}\nplease reset it", "passwd = '{}'"], ["密码：{}", "密码:{}", "登录密码是：{}，登不上", "口令：{}", "password={}"]),
    "private_key": (v.pem, ["Why is this key refused?\n{}\nIt worked before.", "{}", "key.pem:\n{}\n"], ["这个私钥报错：\n{}\n怎么办", "私钥如下\n{}"]),
    "ssn": (v.ssn, ["My SSN is {}.", "SSN: {}", "social security number {}", "ssn={}", "Her social security number is {}, please check"], ["社保号（SSN）：{}", "美国SSN是{}。"]),
    "passport": (v.passport, ["passport number {}", "Passport: {}", "My passport {} has expired.", "passport no. {} (new)"], ["护照号：{}", "护照号码{}，请核对", "我的护照是{}。", "证件类型：护照，号码{}"]),
    "plate": (v.plate, ["The car {} blocks the gate.", "plate {}", "license plate: {}"], ["车牌号{}", "车牌：{}，请挪车", "{}违章了", "我的车是{}。", "车辆{}停在门口"]),
    "birth_date": (None, ["I was born on {}.", "DOB: {}", "date of birth {}", "Birthday: {}", "born {} in Leeds", "birth date={}"], ["出生日期：{}", "我的生日是{}。", "生日{}，男", "出生于{}"]),
    "url_credentials": (None, ["postgres://{}@db.example.com:5432/app", "git clone https://{}@git.example.com/team/repo.git", "DATABASE_URL=mysql://{}@10/x".replace("@10/x", "@mysql.internal/x"), "redis://{}@cache:6379/0", "curl https://{}@api.example.com/v1"],
        ["数据库地址postgres://{}@db.example.com/app", "用https://{}@git.example.com/repo.git拉代码", "amqp://{}@mq.example.com连不上"]),
}

MADE_TEMPLATES = ["client_secret: {}", "AWS_SECRET_ACCESS_KEY={}", "\"auth_token\": \"{}\"", "secret_key = '{}'", "Authorization: Bearer {}", "访问令牌：{}", "密钥：{}"]

NEGATIVES = [
    (v.order, ["Order {} has not arrived.", "tracking number {}", "invoice {} is wrong", "item {}", "订单号{}还没到", "运单号：{}", "单号{}，请查一下", "编号{}"]),
    (v.version, ["Since {} it crashes.", "I use {}", "upgrade to {} failed", "升级到{}就崩溃", "版本{}"]),
    (v.time, ["It happened at {}.", "created {}", "\"ts\": {}", "时间{}", "从{}开始", "log {}"]),
    (v.price, ["It costs {}.", "total {}", "I was charged {} twice", "价格{}", "一共{}元", "余额：{}"]),
    (v.digest, ["commit {}", "id {}", "the hash is {}", "文件{}损坏", "请求ID：{}", "trace_id={}"]),
    (v.maths, ["What is {}?", "Simplify {}", "the values are {}", "计算{}", "结果是{}对吗"]),
    (v.code, ["Explain this: {}", "{}", "这段代码什么意思：{}", "Why does `{}` fail?"]),
    (v.bad_card, ["card {} is invalid", "number {}", "卡号{}输错了"]),
    (v.bad_cn_id, ["id {}", "身份证号{}不对"]),
    (v.bad_iban, ["IBAN {} is rejected", "账户{}无效"]),
]

FILLER = {
    "en": ["I have been waiting for three days.", "Could you explain how this works?", "Thanks in advance for your help.", "The app shows an error on page 2 of 10.", "We tried it on 14 machines.", "It worked until last Tuesday.", "Nothing else has changed.", "Let me know what you need from me.", "The first 100 users were fine."],
    "zh": ["已经等了三天了。", "请问怎么处理？", "麻烦尽快回复，谢谢！", "昨天下午3点开始的。", "一共有2个人。", "之前一直是好的。", "人均消费100-150元。", "有没有评分4.5分以上的？", "这个问题很急。"],
}

PHONES = {"en": [v.us_phone, v.us_phone, v.world_phone, v.cn_mobile], "zh": [v.cn_mobile, v.cn_mobile, v.cn_landline, v.world_phone]}
# forms that only count digits are fair only where the sentence says what they are
WEIGHTS = {"email": 16, "phone": 24, "cn_id": 9, "card": 12, "iban": 6, "ip": 10, "jwt": 4, "api_key": 8, "secret": 7, "private_key": 2, "url_credentials": 2, "ssn": 3, "passport": 3, "plate": 3, "birth_date": 4}


def full_width(text):
    return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and (c.isalnum() or c in "+-.@_") else c for c in text)


def mathematical(text):
    return "".join(chr(0x1D7CE + int(c)) if c.isascii() and c.isdigit() else c for c in text)


def invisible(rng, text):
    at = rng.randint(1, len(text) - 1)
    return text[:at] + rng.choice("\u200b\u200c\u200d\u2060\u00ad\ufeff") + text[at:]


def percent(text):
    return text.replace("@", "%40").replace("+", "%2B")


def escaped(text):
    return text.replace("@", "\\u0040")


def disguised(rng, kind, text):
    """The value as somebody writes it who wants to pass a filter, or as a log writes it."""
    roll = rng.random()
    if kind not in ("phone", "cn_id", "card", "email") or roll > 0.08:
        return text
    if kind == "email":
        return rng.choice([percent, escaped, lambda t: invisible(rng, t)])(text)
    return rng.choice([mathematical, lambda t: invisible(rng, t)])(text)


def value(rng, kind, lang):
    if kind == "phone":
        return rng.choice(PHONES[lang])(rng)
    if kind == "cn_id" and lang == "zh" and rng.random() < 0.15:
        return v.cn_id_old(rng)
    if kind == "url_credentials":
        return f"{rng.choice(v.FIRST)}:{v.password(rng).replace('#', '!').replace('@', '%40')}"
    if kind == "secret":
        return v.password(rng)
    if kind == "birth_date":
        return (v.birth_date if lang == "en" else v.birth_date_zh)(rng)
    return KINDS[kind][0](rng)


def sentence(rng, kind, lang):
    if kind == "secret" and rng.random() < 0.4:
        return rng.choice(MADE_TEMPLATES), v.random_token(rng)
    template = rng.choice(KINDS[kind][1 if lang == "en" else 2])
    text = value(rng, kind, lang)
    if lang == "zh" and kind in ("phone", "cn_id", "card", "email") and rng.random() < 0.1:
        return template, full_width(text)
    return template, disguised(rng, kind, text)


def text(rng, lang):
    parts, items, length = [], [], 0

    def add(piece):
        nonlocal length
        parts.append(piece)
        length += len(piece)

    def join(following):
        if parts:
            # nobody lets two Latin words run together, not even in Chinese
            if logged:
                return add("\\n")
            latin = parts[-1][-1:].isascii() and following[:1].isascii()
            add(rng.choice([" ", " ", "\n"] if lang == "en" else [" ", "\n"] if latin else ["", "", "\n"]))

    # a fifth as a log shows it: JSON inside a string, line ends escaped
    logged = rng.random() < 0.2
    for _ in range(rng.randint(1, 4)):
        roll = rng.random()
        if roll < 0.45:
            kind = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            template, found = sentence(rng, kind, lang)
            before, after = template.split("{}", 1)
            join(before or found)
            add(before)
            items.append({"kind": kind, "start": length, "end": length + len(found)})
            add(found + after)
        elif roll < 0.7:
            make, templates = rng.choice(NEGATIVES)
            fitting = [t for t in templates if t.isascii() == (lang == "en")] or templates
            other = rng.choice(fitting).replace("{}", make(rng))
            join(other)
            add(other)
        else:
            other = rng.choice(FILLER[lang])
            join(other)
            add(other)
    return {"text": "".join(parts), "lang": lang, "items": items}


def main():
    out, wanted, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 12000, int(sys.argv[3]) if len(sys.argv) > 3 else 7
    rng, have = random.Random(seed), 0
    with open(out, "w", encoding="utf-8") as file:
        while have < wanted:
            line = text(rng, "en" if rng.random() < 0.5 else "zh")
            have += len(line["items"])
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(f"{out}: {have} items, seed {seed}")


if __name__ == "__main__":
    main()
