//! Byte strings inside CBOR where `minicbor`'s own adapters do not reach. Pure; must never encode a
//! byte string as a list of numbers.

/// A list of byte strings.
pub(crate) mod byte_strings {
    use minicbor::bytes::{ByteSlice, ByteVec};
    use minicbor::encode::Write;
    use minicbor::{Decoder, Encoder};

    pub(crate) fn encode<C, W: Write>(
        values: &[Vec<u8>],
        encoder: &mut Encoder<W>,
        _context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.array(values.len() as u64)?;
        for value in values {
            encoder.encode(<&ByteSlice>::from(value.as_slice()))?;
        }
        Ok(())
    }

    pub(crate) fn decode<C>(
        decoder: &mut Decoder<'_>,
        _context: &mut C,
    ) -> Result<Vec<Vec<u8>>, minicbor::decode::Error> {
        let values: Vec<ByteVec> = decoder.decode()?;
        Ok(values.into_iter().map(Vec::from).collect())
    }
}

/// A byte string of fixed length that may be absent.
pub(crate) mod optional_array {
    use minicbor::bytes::ByteArray;
    use minicbor::encode::Write;
    use minicbor::{Decoder, Encoder};

    pub(crate) fn encode<C, W: Write>(
        value: &Option<[u8; 16]>,
        encoder: &mut Encoder<W>,
        _context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.encode(value.map(ByteArray::from))?;
        Ok(())
    }

    pub(crate) fn decode<C>(
        decoder: &mut Decoder<'_>,
        _context: &mut C,
    ) -> Result<Option<[u8; 16]>, minicbor::decode::Error> {
        let value: Option<ByteArray<16>> = decoder.decode()?;
        Ok(value.map(<[u8; 16]>::from))
    }

    pub(crate) fn nil() -> Option<Option<[u8; 16]>> {
        Some(None)
    }

    pub(crate) fn is_nil(value: &Option<[u8; 16]>) -> bool {
        value.is_none()
    }
}

/// A byte string that may be absent.
pub(crate) mod optional_bytes {
    use minicbor::bytes::{ByteSlice, ByteVec};
    use minicbor::encode::Write;
    use minicbor::{Decoder, Encoder};

    pub(crate) fn encode<C, W: Write>(
        value: &Option<Vec<u8>>,
        encoder: &mut Encoder<W>,
        _context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.encode(value.as_deref().map(<&ByteSlice>::from))?;
        Ok(())
    }

    pub(crate) fn decode<C>(
        decoder: &mut Decoder<'_>,
        _context: &mut C,
    ) -> Result<Option<Vec<u8>>, minicbor::decode::Error> {
        let value: Option<ByteVec> = decoder.decode()?;
        Ok(value.map(Vec::from))
    }

    pub(crate) fn nil() -> Option<Option<Vec<u8>>> {
        Some(None)
    }

    pub(crate) fn is_nil(value: &Option<Vec<u8>>) -> bool {
        value.is_none()
    }
}
