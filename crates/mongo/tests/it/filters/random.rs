//! Random documents and filters over few names and few values, so that they meet.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, RawDocumentBuf, Regex, Timestamp, doc};

/// Names of fields; some look like positions of an array.
const NAMES: [&str; 5] = ["a", "b", "c", "0", "1"];
const OPTIONS: [&str; 6] = ["", "i", "m", "s", "x", "im"];
const PATTERNS: [&str; 12] = [
    "a", "^a", "b$", "^$", "A", "a.b", "a|b", "^\\w+$", "(a)\\1", "a(?=b)", "ä", " a # b\n",
];
const KINDS: [&str; 10] = [
    "double", "string", "object", "array", "bool", "null", "int", "long", "decimal", "number",
];

/// The tests of bits.
pub(super) const BITS: [&str; 4] = [
    "$bitsAllSet",
    "$bitsAllClear",
    "$bitsAnySet",
    "$bitsAnyClear",
];

/// A `SplitMix64` generator.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("limits are small");
        usize::try_from(self.bits() % limit).expect("it is below a usize")
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    fn name(&mut self) -> &'static str {
        self.pick(&NAMES)
    }

    pub(super) fn documents(&mut self, count: usize) -> Vec<RawDocumentBuf> {
        let ids = ids(self);
        (0..count)
            .map(|number| {
                let mut document = doc! { "_id": ids[number].clone() };
                document.extend(self.document(3));
                RawDocumentBuf::try_from(&document).expect("there is no odd name")
            })
            .collect()
    }

    fn document(&mut self, depth: usize) -> Document {
        let mut document = Document::new();
        for _ in 0..self.below(4) {
            let name = self.name();
            document.insert(name, self.value(depth));
        }
        document
    }

    fn value(&mut self, depth: usize) -> Bson {
        match self.below(8) {
            0..=1 if depth > 0 => Bson::Document(self.document(depth - 1)),
            2..=4 if depth > 0 => {
                let length = self.below(4);
                Bson::Array((0..length).map(|_| self.value(depth - 1)).collect())
            }
            _ => self.scalar(),
        }
    }

    fn scalar(&mut self) -> Bson {
        match self.below(4) {
            0 => Bson::Int32(i32::try_from(self.below(4)).expect("it is small")),
            1 => self
                .pick(&["", "a", "ab", "b", "A", "a\nb", "ä", "aa"])
                .into(),
            2 => self.pick(&numbers()),
            _ => self.pick(&scalars()),
        }
    }

    pub(super) fn filter(&mut self) -> Document {
        self.fields(3)
    }

    fn fields(&mut self, depth: usize) -> Document {
        let mut filter = Document::new();
        for _ in 0..=self.below(2) {
            match self.below(8) {
                0 if depth > 0 => {
                    let operator = self.pick(&["$and", "$or", "$nor"]);
                    let operands = (0..=self.below(2)).map(|_| self.fields(depth - 1));
                    filter.insert(operator, operands.map(Bson::from).collect::<Vec<_>>());
                }
                1 => {
                    let id = ids(self);
                    let id = self.pick(&id);
                    let list = vec![id.clone(), self.scalar()];
                    let condition = self.pick(&[doc! { "$eq": id }, doc! { "$in": list }]);
                    filter.insert("_id", condition);
                }
                _ => {
                    let path = self.path();
                    let condition = if self.below(3) == 0 {
                        self.value(2)
                    } else {
                        Bson::Document(self.operators(depth))
                    };
                    filter.insert(path, condition);
                }
            }
        }
        filter
    }

    fn path(&mut self) -> String {
        let parts: Vec<_> = (0..=self.below(3)).map(|_| self.name()).collect();
        parts.join(".")
    }

    fn operators(&mut self, depth: usize) -> Document {
        let mut operators = Document::new();
        for _ in 0..=self.below(2) {
            let (name, argument) = self.operator(depth);
            operators.insert(name, argument);
        }
        operators
    }

    fn operator(&mut self, depth: usize) -> (&'static str, Bson) {
        let compare = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"];
        match self.below(13) {
            0..=3 => (self.pick(&compare), self.value(2)),
            4..=5 => {
                let operator = self.pick(&["$in", "$nin", "$all"]);
                let mut values: Vec<_> = (0..self.below(4)).map(|_| self.value(1)).collect();
                if self.below(4) == 0 {
                    values.push(self.regex());
                }
                (operator, values.into())
            }
            6 => (
                "$exists",
                self.pick(&[true.into(), false.into(), 0.into(), 1.5.into()]),
            ),
            7 => match self.below(3) {
                0 => ("$type", vec![self.pick(&KINDS), self.pick(&KINDS)].into()),
                1 => (
                    "$type",
                    Bson::Int32(self.pick(&[1, 2, 3, 4, 6, 10, 16, 18, 19, -1, 127])),
                ),
                _ => ("$type", self.pick(&KINDS).into()),
            },
            8 => (
                "$size",
                self.pick(&[0.into(), 1.into(), 2_i64.into(), 1.0.into()]),
            ),
            9 => {
                let divisor = self.pick(&[2.into(), Bson::Int64(-3), 2.7.into()]);
                (
                    "$mod",
                    vec![divisor, self.pick(&[0.into(), 1.into(), Bson::Int64(-1)])].into(),
                )
            }
            10 => match self.below(3) {
                0 => ("$regex", self.regex()),
                1 => ("$regex", self.pick(&PATTERNS).into()),
                _ => {
                    let mask = self.mask();
                    (self.pick(&BITS), mask)
                }
            },
            11 if depth > 0 => {
                let negated = match self.below(4) {
                    0 => self.regex(),
                    _ => self.operators(depth - 1).into(),
                };
                ("$not", negated)
            }
            _ if depth > 0 => {
                let inner = match self.below(2) {
                    0 => self.fields(depth - 1),
                    _ => self.operators(depth - 1),
                };
                ("$elemMatch", inner.into())
            }
            _ => ("$exists", true.into()),
        }
    }

    fn mask(&mut self) -> Bson {
        self.pick(&masks())
    }

    fn regex(&mut self) -> Bson {
        let (pattern, options) = (self.pick(&PATTERNS), self.pick(&OPTIONS));
        regex(pattern, options)
    }
}

/// Masks of bits in all their forms.
pub(super) fn masks() -> Vec<Bson> {
    let bytes = Binary {
        subtype: BinarySubtype::Generic,
        bytes: vec![1, 2],
    };
    vec![
        3.into(),
        Bson::Int64(1 << 40),
        vec![Bson::Int32(0), Bson::Int32(1)].into(),
        vec![Bson::Int32(70)].into(),
        Bson::Array(Vec::new()),
        bytes.into(),
        1.0.into(),
    ]
}

fn regex(pattern: &str, options: &str) -> Bson {
    let text = |text: &str| text.try_into().expect("there is no zero byte in it");
    Bson::RegularExpression(Regex {
        pattern: text(pattern),
        options: text(options),
    })
}

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse().expect("it is a number"))
}

/// Distinct values that may stand as `_id`, some of them equal to others in another type.
fn ids(random: &mut Random) -> Vec<Bson> {
    let mut ids = vec![
        random.pick(&[
            1.into(),
            1_i64.into(),
            1.0.into(),
            decimal("1"),
            decimal("1.00"),
        ]),
        random.pick(&[2.5.into(), decimal("2.5"), decimal("2.500")]),
        random.pick(&["a".into(), Bson::Symbol("a".into())]),
        random.pick(&[0.into(), (-0.0).into(), decimal("0E5")]),
        random.pick(&[f64::NAN.into(), decimal("NaN")]),
        random.pick(&[doc! { "a": 1 }.into(), doc! { "a": 1.0 }.into()]),
        Bson::Null,
        true.into(),
        Bson::MinKey,
        DateTime::from_millis(5).into(),
        doc! { "a": "b", "b": [] }.into(),
    ];
    ids.extend((100..120).map(Bson::Int32));
    ids
}

fn numbers() -> Vec<Bson> {
    vec![
        0.0.into(),
        (-0.0).into(),
        1.0.into(),
        1.5.into(),
        2_i64.into(),
        (-1).into(),
        f64::NAN.into(),
        f64::INFINITY.into(),
        f64::NEG_INFINITY.into(),
        0.1.into(),
        decimal("0.1"),
        decimal("1.0"),
        decimal("2"),
        decimal("NaN"),
        decimal("Infinity"),
        decimal("-1E6000"),
        decimal("0.1000000000000000055511151231257827"),
        Bson::Int64(9_007_199_254_740_993),
        Bson::Double(9_007_199_254_740_992.0),
        Bson::Int64(i64::MAX),
        Bson::Int64(i64::MIN),
        Bson::Double(9_223_372_036_854_775_808.0),
        decimal("9223372036854775807"),
        decimal("-2.5"),
        decimal("3.5"),
        Bson::Double(-2.5),
    ]
}

fn scalars() -> Vec<Bson> {
    let binary = |subtype, bytes: &[u8]| {
        Bson::Binary(Binary {
            subtype,
            bytes: bytes.to_vec(),
        })
    };
    let timestamp = |time, increment| Bson::Timestamp(Timestamp { time, increment });
    let scoped = |code: &str, scope| {
        let code = code.to_owned();
        Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code, scope })
    };
    vec![
        Bson::Null,
        Bson::Undefined,
        true.into(),
        false.into(),
        DateTime::from_millis(-5).into(),
        DateTime::from_millis(5).into(),
        timestamp(1, 2),
        timestamp(u32::MAX, 1),
        binary(BinarySubtype::Generic, &[1, 2]),
        binary(BinarySubtype::Generic, &[3]),
        binary(BinarySubtype::Uuid, &[1; 16]),
        binary(BinarySubtype::UserDefined(0x80), &[3]),
        bson::oid::ObjectId::from_bytes([1; 12]).into(),
        bson::oid::ObjectId::from_bytes([2; 12]).into(),
        Bson::Symbol("a".into()),
        Bson::Symbol("ab".into()),
        Bson::JavaScriptCode("a".into()),
        scoped("a", doc! { "b": 1 }),
        scoped("a", doc! { "b": 1.0 }),
        scoped("b", doc! {}),
        regex("a", ""),
        regex("a", "i"),
        Bson::MinKey,
        Bson::MaxKey,
        doc! {}.into(),
        Bson::Array(Vec::new()),
    ]
}

/// Values on which the language is known to surprise; `None` where the field is missing.
pub(super) fn traps() -> Vec<Option<Bson>> {
    let mut values: Vec<Option<Bson>> = vec![None];
    values.extend(scalars().into_iter().chain(numbers()).map(Some));
    let nested = [
        Bson::Array(vec![Bson::Null]),
        Bson::Array(vec![Bson::Undefined]),
        vec![1, 2].into(),
        Bson::Array(vec![vec![1, 2].into(), 3.into()]),
        Bson::Array(vec![doc! { "b": 1 }.into(), doc! {}.into()]),
        Bson::Array(vec![Bson::Array(vec![doc! { "b": 1 }.into()])]),
        doc! { "0": 5 }.into(),
        Bson::Array(vec![doc! { "0": 5 }.into()]),
        Bson::Array(vec![doc! { "0": { "b": 5 } }.into()]),
        doc! { "b": [1, 2] }.into(),
        doc! { "b": Bson::Null }.into(),
        doc! { "": 1 }.into(),
        doc! { "b": 1, "c": 2 }.into(),
        doc! { "c": 2, "b": 1 }.into(),
        doc! { "b": 1.0, "c": 2_i64 }.into(),
        doc! { "$ref": "c", "$id": 1 }.into(),
        "".into(),
        "a".into(),
    ];
    values.extend(nested.into_iter().map(Some));
    values
}
