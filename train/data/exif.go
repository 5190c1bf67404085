package data

import (
	"bytes"
	"encoding/binary"
)

// Orientation returns the EXIF orientation of the bytes of a JPEG, PNG or WebP
// file: 1 to 8, and 1 also if there is none or it cannot be read. Orientation n
// says where the first row and column of the stored pixels lie in the scene: 1
// top left, 2 top right, 3 bottom right, 4 bottom left, 5 left top, 6 right top,
// 7 right bottom, 8 left bottom.
//
// Sources: CIPA DC-008 (EXIF 2.32), 4.5.2 and 4.6.4 A; ITU T.81 annex B; the PNG
// specification, 11.3.4.6 eXIf; the WebP container specification, EXIF chunk.
func Orientation(file []byte) int {
	switch {
	case bytes.HasPrefix(file, []byte{0xff, 0xd8}):
		return jpegOrientation(file[2:])
	case bytes.HasPrefix(file, []byte("\x89PNG\r\n\x1a\n")):
		return chunkOrientation(file[8:], binary.BigEndian, 0)
	case len(file) > 12 && string(file[:4]) == "RIFF" && string(file[8:12]) == "WEBP":
		return chunkOrientation(file[12:], binary.LittleEndian, 1)
	}
	return 1
}

var exifHeader = []byte("Exif\x00\x00")

// jpegOrientation looks through the segments before the first scan.
func jpegOrientation(b []byte) int {
	for len(b) >= 4 && b[0] == 0xff {
		marker := b[1]
		if marker == 0xff { // fill byte
			b = b[1:]
			continue
		}
		if marker == 0xda || marker == 0xd9 { // scan, end of image
			break
		}
		if marker == 0x01 || marker >= 0xd0 && marker <= 0xd7 { // no length
			b = b[2:]
			continue
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n < 2 || 2+n > len(b) {
			break
		}
		if segment := b[4 : 2+n]; marker == 0xe1 && bytes.HasPrefix(segment, exifHeader) {
			return tiffOrientation(segment[len(exifHeader):])
		}
		b = b[2+n:]
	}
	return 1
}

// chunkOrientation looks through chunks: of PNG, length, type, content, checksum;
// of RIFF (even = 1), type, length, content, filled up to an even length.
func chunkOrientation(b []byte, order binary.ByteOrder, even uint32) int {
	for len(b) >= 8 {
		kind, size := string(b[4:8]), order.Uint32(b)
		tail := uint64(4) // the checksum
		if even == 1 {
			kind, size = string(b[:4]), order.Uint32(b[4:])
			tail = uint64(size & 1)
		}
		b = b[8:]
		if uint64(size) > uint64(len(b)) {
			break
		}
		if kind == "eXIf" || kind == "EXIF" {
			return tiffOrientation(bytes.TrimPrefix(b[:size], exifHeader))
		}
		next := uint64(size) + tail
		if next > uint64(len(b)) {
			break
		}
		b = b[next:]
	}
	return 1
}

// tiffOrientation finds tag 0x0112, one SHORT, in the first directory.
func tiffOrientation(b []byte) int {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte("II*\x00")):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte("MM\x00*")):
		order = binary.BigEndian
	default:
		return 1
	}
	if len(b) < 8 {
		return 1
	}
	at := uint64(order.Uint32(b[4:]))
	if at+2 > uint64(len(b)) {
		return 1
	}
	entries := int(order.Uint16(b[at:]))
	b = b[at+2:]
	for ; entries > 0 && len(b) >= 12; entries-- {
		tag, kind, count := order.Uint16(b), order.Uint16(b[2:]), order.Uint32(b[4:])
		if tag == 0x0112 && kind == 3 && count == 1 {
			if v := int(order.Uint16(b[8:])); v >= 1 && v <= 8 {
				return v
			}
			return 1
		}
		b = b[12:]
	}
	return 1
}
