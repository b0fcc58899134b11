/* UTF-8: every sequence of two bytes, every first three of the long ones, and random texts, against
 * a judge that thinks differently: in code points, by what a beginning could still become. */
#include "base/utf8.h"

#include "pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static unsigned length_of(unsigned lead)
{
	if (lead < 0x80)
		return 1;
	if (lead >= 0xC0 && lead < 0xE0)
		return 2;
	if (lead >= 0xE0 && lead < 0xF0)
		return 3;
	return lead >= 0xF0 && lead < 0xF8 ? 4 : 0;
}

/* Is there a character of `length` bytes whose code is within from..to? */
static bool has_character(unsigned length, uint32_t from, uint32_t to)
{
	static const struct {
		unsigned length;
		uint32_t from, to;
	} all[] = { { 1, 0, 0x7F }, { 2, 0x80, 0x7FF }, { 3, 0x800, 0xD7FF }, { 3, 0xE000, 0xFFFF },
		{ 4, 0x10000, 0x10FFFF } };
	for (size_t i = 0; i < crew__lengthof(all); i++)
		if (all[i].length == length && from <= all[i].to && to >= all[i].from)
			return true;
	return false;
}

/* How many bytes from the start can begin a text; `*ret_whole`: they are one. */
static size_t good_prefix(const unsigned char *bytes, size_t len, bool *ret_whole)
{
	size_t at = 0;
	*ret_whole = true;
	while (at < len) {
		unsigned length = length_of(bytes[at]);
		uint32_t code = length == 1 ? bytes[at] : bytes[at] & (0x7Fu >> length);
		unsigned have = 1;
		if (length == 0)
			return at;
		for (;; have++) {
			unsigned bits = 6 * (length - have);
			uint32_t first = code << bits;
			if (!has_character(length, first, first | ((1u << bits) - 1)))
				return at + have - 1;
			if (have == length)
				break;
			if (at + have == len) {
				*ret_whole = false;
				return len;
			}
			if (bytes[at + have] >> 6 != 2)
				return at + have;
			code = code << 6 | (bytes[at + have] & 0x3F);
		}
		at += length;
	}
	return at;
}

/* Feed the bytes from memory that ends where they end. */
static bool feed(uint32_t *state, const void *bytes, size_t len)
{
	char *copy = malloc(len + 1);
	assert_non_null(copy);
	memcpy(copy + 1, bytes, len);
	bool good = crew__utf8_feed(state, copy + 1, len);
	free(copy);
	return good;
}

static void check(const unsigned char *bytes, size_t len)
{
	bool whole;
	size_t good = good_prefix(bytes, len, &whole);
	uint32_t state = CREW__UTF8_START;
	bool answer = crew__utf8_feed(&state, (const char *)bytes, len);
	assert_int_equal(answer, good == len);
	if (answer)
		assert_int_equal(state == CREW__UTF8_START, whole);
	/* Byte by byte it is refused at that byte and at no other. */
	state = CREW__UTF8_START;
	for (size_t i = 0; i < len && i <= good; i++)
		assert_int_equal(crew__utf8_feed(&state, (const char *)bytes + i, 1), i < good);
	assert_int_equal(
		crew__utf8_valid((crew_bytes){ (const char *)bytes, len }), good == len && whole);
}

static void every_two_bytes(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 0x10000; i++) {
		/* Alone, and where four bytes can be read at once. */
		unsigned char bytes[8] = { (unsigned char)(i >> 8), (unsigned char)i, 'a', 'b', 'c',
			'd', 'e', 'f' };
		check(bytes, 2);
		check(bytes, sizeof(bytes));
	}
}

static void every_long_beginning(void **unused)
{
	(void)unused;
	static const unsigned char edges[] = { 0x00, 0x41, 0x7F, 0x80, 0xBF, 0xC0, 0xFF };
	for (unsigned lead = 0xE0; lead <= 0xF8; lead++)
		for (unsigned second = 0; second < 256; second++)
			for (size_t i = 0; i < sizeof(edges); i++)
				for (size_t j = 0; j < sizeof(edges); j++) {
					unsigned char bytes[6] = { (unsigned char)lead,
						(unsigned char)second, edges[i], edges[j], 0xC3,
						0xA9 };
					check(bytes, 3);
					check(bytes, 4);
					check(bytes, 6);
					/* And behind one of three bytes, which has a way of its
					 * own. */
					unsigned char behind[9] = "\xE4\xB8\xAD";
					memcpy(behind + 3, bytes, 6);
					check(behind, sizeof(behind));
				}
}

static size_t encode(uint32_t code, unsigned char *to)
{
	if (code < 0x80) {
		to[0] = (unsigned char)code;
		return 1;
	}
	size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for (size_t i = length; i-- > 1; code >>= 6)
		to[i] = (unsigned char)(0x80 | (code & 0x3F));
	to[0] = (unsigned char)(0xF00u >> length | code);
	return length;
}

static void every_character(void **unused)
{
	(void)unused;
	for (uint32_t code = 0; code <= 0x10FFFF; code++) {
		unsigned char bytes[8] = "........";
		size_t len = encode(code, bytes);
		bool surrogate = code >= 0xD800 && code <= 0xDFFF;
		assert_int_equal(crew__utf8_valid((crew_bytes){ (char *)bytes, len }), !surrogate);
		assert_int_equal(crew__utf8_valid((crew_bytes){ (char *)bytes, 8 }), !surrogate);
	}
}

/* A text of random characters, ASCII in runs; sometimes one byte of it is spoilt. */
static size_t random_text(struct pieces *random, unsigned char *text, size_t room)
{
	size_t len = 0;
	while (len + 80 < room) {
		for (size_t run = pieces_random(random) % 70; run > 0; run--)
			text[len++] = (unsigned char)(pieces_random(random) % 0x80);
		uint32_t code = (uint32_t)(pieces_random(random) % 0x110000);
		if (pieces_random(random) % 2)
			code = 0x4E00 + code % 0x5000;
		if (code < 0xD800 || code > 0xDFFF)
			len += encode(code, text + len);
		if (pieces_random(random) % 40 == 0)
			break;
	}
	if (len > 0 && pieces_random(random) % 2)
		text[pieces_random(random) % len] ^= (unsigned char)(1u
								     << pieces_random(random) % 8);
	return len;
}

static void random_texts_in_pieces(void **unused)
{
	(void)unused;
	struct pieces random = pieces_of(5);
	unsigned refused = 0;
	for (unsigned round = 0; round < 3000; round++) {
		unsigned char text[600];
		size_t len = random_text(&random, text, sizeof(text));
		bool whole;
		size_t good = good_prefix(text, len, &whole);
		refused += good < len;
		for (unsigned way = 0; way < 6; way++) {
			struct pieces pieces = pieces_of(way + round);
			uint32_t state = CREW__UTF8_START;
			size_t at = 0;
			bool answer = true;
			while (at < len && answer) {
				size_t n = pieces_next(&pieces, len - at);
				answer = feed(&state, text + at, n);
				/* Refused by the piece that holds the first bad byte. */
				assert_int_equal(answer, at + n <= good);
				at += n;
			}
			assert_int_equal(answer && state == CREW__UTF8_START, good == len && whole);
		}
	}
	assert_true(refused > 200 && refused < 2800);
}

static void nothing_is_valid(void **unused)
{
	(void)unused;
	uint32_t state = CREW__UTF8_START;
	assert_true(crew__utf8_feed(&state, NULL, 0));
	assert_int_equal(state, CREW__UTF8_START);
	assert_true(crew__utf8_valid((crew_bytes){ 0 }));
	/* An empty piece inside a character changes nothing. */
	assert_true(crew__utf8_feed(&state, "\xE2\x82", 2));
	uint32_t before = state;
	assert_true(crew__utf8_feed(&state, NULL, 0));
	assert_int_equal(state, before);
	assert_int_not_equal(state, CREW__UTF8_START);
	assert_true(crew__utf8_feed(&state, "\xAC", 1));
	assert_int_equal(state, CREW__UTF8_START);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_valid),
		cmocka_unit_test(every_two_bytes),
		cmocka_unit_test(every_long_beginning),
		cmocka_unit_test(every_character),
		cmocka_unit_test(random_texts_in_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
