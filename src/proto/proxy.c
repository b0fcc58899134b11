/* proxy.c - the PROXY protocol's header, versions 1 and 2.
 *
 * Not here: from whom it is believed, and how long it is waited for (service/proxied.c). */
#include "proto/proxy.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

enum {
	SIGNATURE_SIZE = 12,
	HEADER_SIZE = 16,
	COMMAND_LOCAL = 0,
	COMMAND_PROXY = 1,
	FAMILY_UNSPEC = 0,
	FAMILY_INET = 1,
	FAMILY_INET6 = 2,
	FAMILY_UNIX = 3,
	TRANSPORT_UNSPEC = 0,
	TRANSPORT_STREAM = 1,
	TRANSPORT_DATAGRAM = 2,
	INET_SIZE = 12,
	INET6_SIZE = 36,
	UNIX_SIZE = 216,
	TLV_HEAD = 3,
	TLV_CRC32C = 3,
	PORT_DIGITS = 5,
};

static const char signature[SIGNATURE_SIZE] = "\r\n\r\n\0\r\nQUIT\n";
static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* ---- version 1 ----------------------------------------------------------------------------- */

/* The line, without `PROXY ` and its end, as far as it has been read. */
struct line {
	const char *at, *end;
};

/* What stands before the next single space, or the line's end with `last`; no bytes: bad. */
static crew_bytes next_word(struct line *line, bool last)
{
	size_t left = (size_t)(line->end - line->at);
	const char *space = memchr(line->at, ' ', left);
	crew_bytes word = { line->at, space ? (size_t)(space - line->at) : left };
	if ((space == NULL) != last)
		return (crew_bytes){ NULL, 0 };
	line->at += word.len + !last;
	return word;
}

static bool read_ip(crew_bytes word, int family, struct crew__record_address *address)
{
	char text[INET6_ADDRSTRLEN];
	if (word.len == 0 || word.len >= sizeof(text) || memchr(word.data, '\0', word.len))
		return false;
	memcpy(text, word.data, word.len);
	text[word.len] = '\0';
	memcpy(address->ip, mapped, sizeof(mapped));
	address->family = (uint16_t)family;
	return inet_pton(family, text, family == AF_INET ? address->ip + 12 : address->ip) == 1;
}

static bool read_port(crew_bytes word, struct crew__record_address *address)
{
	unsigned port = 0;
	if (word.len == 0 || word.len > PORT_DIGITS || (word.len > 1 && word.data[0] == '0'))
		return false;
	for (size_t i = 0; i < word.len; i++) {
		if (word.data[i] < '0' || word.data[i] > '9')
			return false;
		port = port * 10 + (unsigned)(word.data[i] - '0');
	}
	address->port = (uint16_t)port;
	return port <= UINT16_MAX;
}

/* An IPv4 peer of a socket for IPv6 is one of IPv4, as everywhere in records. */
static void unmap(struct crew__record_address *address)
{
	if (address->family == AF_INET6 && memcmp(address->ip, mapped, sizeof(mapped)) == 0)
		address->family = AF_INET;
}

static bool is_word(crew_bytes word, const char *text)
{
	return word.len == strlen(text) && memcmp(word.data, text, word.len) == 0;
}

static bool read_addresses(struct line *line, int family, struct crew__proxy *proxy)
{
	bool good = read_ip(next_word(line, false), family, &proxy->source) &&
		    read_ip(next_word(line, false), family, &proxy->target) &&
		    read_port(next_word(line, false), &proxy->source) &&
		    read_port(next_word(line, true), &proxy->target);
	unmap(&proxy->source);
	unmap(&proxy->target);
	proxy->known = true;
	return good;
}

/* Behind UNKNOWN anything may stand. */
static bool read_line(struct line line, struct crew__proxy *proxy)
{
	crew_bytes rest = { line.at, (size_t)(line.end - line.at) };
	if (is_word(rest, "UNKNOWN") || (rest.len >= 8 && memcmp(rest.data, "UNKNOWN ", 8) == 0))
		return true;
	crew_bytes family = next_word(&line, false);
	if (is_word(family, "TCP4"))
		return read_addresses(&line, AF_INET, proxy);
	return is_word(family, "TCP6") && read_addresses(&line, AF_INET6, proxy);
}

/* The first CR must be that of its end: neither CR nor LF stands anywhere else. */
static int parse_v1(crew_bytes in, struct crew__proxy *proxy)
{
	static const char begin[] = "PROXY ";
	size_t known = crew__min(in.len, sizeof(begin) - 1);
	size_t most = crew__min(in.len, CREW__PROXY_V1_MAX);
	if (memcmp(in.data, begin, known) != 0)
		return -EPROTO;
	const char *cr = memchr(in.data, '\r', most), *lf = memchr(in.data, '\n', most);
	if (!lf && !(cr && cr < in.data + in.len - 1 && cr < in.data + CREW__PROXY_V1_MAX - 1))
		return in.len < CREW__PROXY_V1_MAX ? 0 : -EPROTO;
	if (!cr || lf != cr + 1)
		return -EPROTO;
	proxy->version = 1;
	if (!read_line((struct line){ in.data + known, cr }, proxy))
		return -EPROTO;
	return (int)(lf + 1 - in.data);
}

/* ---- version 2 ----------------------------------------------------------------------------- */

static unsigned read16(const char *at)
{
	return (unsigned)(unsigned char)at[0] << 8 | (unsigned char)at[1];
}

/* Castagnoli's polynomial, bit by bit: a header is short, and few have this. */
static uint32_t crc32c_byte(uint32_t crc, unsigned char byte)
{
	crc ^= byte;
	for (int bit = 0; bit < 8; bit++)
		crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	return crc;
}

/* Over the whole header, with zero where the checksum itself stands. */
static bool checksum_holds(crew_bytes header, size_t at)
{
	uint32_t crc = UINT32_MAX;
	for (size_t i = 0; i < header.len; i++) {
		bool itself = i >= at && i < at + 4;
		crc = crc32c_byte(crc, itself ? 0 : (unsigned char)header.data[i]);
	}
	return ~crc == (read16(header.data + at) << 16 | read16(header.data + at + 2));
}

/* What stands behind the addresses: type, length, value. Only the checksum says something to us. */
static bool skip_extras(crew_bytes header, size_t at)
{
	bool checked = false;
	while (at < header.len) {
		if (header.len - at < TLV_HEAD)
			return false;
		unsigned type = (unsigned char)header.data[at];
		unsigned length = read16(header.data + at + 1);
		at += TLV_HEAD;
		if (length > header.len - at)
			return false;
		if (type == TLV_CRC32C && (checked || length != 4 || !checksum_holds(header, at)))
			return false;
		checked = checked || type == TLV_CRC32C;
		at += length;
	}
	return true;
}

static void take_ipv4(const char *ip, const char *port, struct crew__record_address *address)
{
	memcpy(address->ip, mapped, sizeof(mapped));
	memcpy(address->ip + sizeof(mapped), ip, 4);
	address->family = AF_INET;
	address->port = (uint16_t)read16(port);
}

static void take_ipv6(const char *ip, const char *port, struct crew__record_address *address)
{
	memcpy(address->ip, ip, sizeof(address->ip));
	address->family = AF_INET6;
	address->port = (uint16_t)read16(port);
	unmap(address);
}

static void take_addresses(const char *at, unsigned family, struct crew__proxy *proxy)
{
	proxy->known = true;
	switch (family) {
	case FAMILY_INET:
		take_ipv4(at, at + 8, &proxy->source);
		take_ipv4(at + 4, at + 10, &proxy->target);
		break;
	case FAMILY_INET6:
		take_ipv6(at, at + 32, &proxy->source);
		take_ipv6(at + 16, at + 34, &proxy->target);
		break;
	default:
		proxy->source.family = AF_UNIX;
		proxy->target.family = AF_UNIX;
		break;
	}
}

/* Bytes of addresses for each family; -1: there is no such. */
static int address_size(unsigned family)
{
	static const int sizes[] = { [FAMILY_UNSPEC] = 0,
		[FAMILY_INET] = INET_SIZE,
		[FAMILY_INET6] = INET6_SIZE,
		[FAMILY_UNIX] = UNIX_SIZE };
	return family < crew__lengthof(sizes) ? sizes[family] : -1;
}

/* All of it is here. LOCAL: whatever it says of addresses is to be skipped. */
static bool read_v2(crew_bytes header, struct crew__proxy *proxy)
{
	unsigned command = (unsigned char)header.data[12] & 0xfu;
	unsigned family = (unsigned char)header.data[13] >> 4;
	unsigned transport = (unsigned char)header.data[13] & 0xfu;
	int size = address_size(family);
	if (command == COMMAND_LOCAL)
		return true;
	if (size < 0 || transport > TRANSPORT_DATAGRAM)
		return false;
	if (family == FAMILY_UNSPEC || transport == TRANSPORT_UNSPEC)
		return true;
	if (transport != TRANSPORT_STREAM || header.len < HEADER_SIZE + (size_t)size)
		return false;
	take_addresses(header.data + HEADER_SIZE, family, proxy);
	return skip_extras(header, HEADER_SIZE + (size_t)size);
}

static int parse_v2(crew_bytes in, struct crew__proxy *proxy)
{
	if (memcmp(in.data, signature, crew__min(in.len, SIGNATURE_SIZE)) != 0)
		return -EPROTO;
	if (in.len > SIGNATURE_SIZE && ((unsigned char)in.data[12] >> 4 != 2 ||
					       ((unsigned char)in.data[12] & 0xf) > COMMAND_PROXY))
		return -EPROTO;
	if (in.len < HEADER_SIZE)
		return 0;
	size_t length = HEADER_SIZE + read16(in.data + 14);
	if (length > CREW__PROXY_V2_MAX)
		return -EPROTO;
	if (in.len < length)
		return 0;
	proxy->version = 2;
	return read_v2((crew_bytes){ in.data, length }, proxy) ? (int)length : -EPROTO;
}

int crew__proxy_parse(crew_bytes in, struct crew__proxy *ret_proxy)
{
	struct crew__proxy proxy = { 0 };
	if (in.len == 0)
		return 0;
	int length = in.data[0] == signature[0] ? parse_v2(in, &proxy) : parse_v1(in, &proxy);
	if (length > 0)
		*ret_proxy = proxy;
	return length;
}
