/* permessage-deflate alone: what goes in comes out, with every window; what is not worth it stays
 * plain; damage is seen; and nothing is made beyond the room that is given. */
#include "proto/deflate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
	LONG = 300 * 1000,
};

/* Text that compresses well, by an xorshift of the seed. */
static void fill(char *text, size_t len, uint32_t seed)
{
	static const char words[] = "the sea was grey and a gull cried over harbour walls ";
	for (size_t at = 0; at < len; at++) {
		seed ^= seed << 13;
		seed ^= seed >> 17;
		seed ^= seed << 5;
		text[at] = seed % 5 ? words[(at * 7 + seed % 3) % (sizeof(words) - 1)]
				    : (char)('a' + seed % 26);
	}
}

static void noise(char *data, size_t len, uint32_t seed)
{
	for (size_t at = 0; at < len; at++) {
		seed = seed * 1664525u + 1013904223u;
		data[at] = (char)(seed >> 24);
	}
}

/* Inflate a message that is to come out as `body`, with so much room at a time. */
static void expect(struct crew__inflater *f, crew_bytes packed, crew_bytes body, size_t room)
{
	char *out = malloc(body.len + room + 1);
	assert_non_null(out);
	size_t len = 0;
	enum crew__inflated r = CREW__INFLATED_FULL;
	while (r == CREW__INFLATED_FULL) {
		size_t n;
		assert_true(len <= body.len);
		r = crew__inflate(f, &packed, out + len, room, &n);
		assert_true(n <= room);
		len += n;
	}
	assert_int_equal(r, CREW__INFLATED_ALL);
	assert_int_equal(packed.len, 0);
	assert_true(crew__inflate_end(f));
	assert_int_equal(len, body.len);
	assert_memory_equal(out, body.data, len);
	free(out);
}

static crew_bytes bytes_of(const struct crew__buf *b)
{
	return (crew_bytes){ b->data, b->len };
}

/* Also that nothing lies further back than the window: it is inflated byte by byte, so that zlib's
 * own window is all there is to refer to. Windows of 8 bits are where zlib needs care. */
static void every_window_there_and_back(void **unused)
{
	(void)unused;
	char *text = malloc(LONG);
	assert_non_null(text);
	for (unsigned bits = CREW__DEFLATE_BITS_LEAST; bits <= CREW__DEFLATE_BITS_MOST; bits++) {
		for (unsigned takeover = 0; takeover < 2; takeover++) {
			struct crew__deflater *d = crew__deflater_new(bits, CREW__DEFLATE_LEVEL);
			struct crew__inflater *f = crew__inflater_new(bits);
			assert_true(d && f);
			for (uint32_t i = 1; i <= 12; i++) {
				struct crew__buf out;
				size_t len = i == 12 ? 60000 : 100 * i * i;
				crew__buf_init(&out, LONG);
				fill(text, len, i % 4 + 1);
				assert_int_equal(
					crew__deflate(d, (crew_bytes){ text, len }, takeover, &out),
					0);
				assert_true(out.len < len);
				expect(f, bytes_of(&out), (crew_bytes){ text, len }, 1);
				if (!takeover)
					crew__inflater_reset(f);
				crew__buf_release(&out);
			}
			crew__deflater_free(d);
			crew__inflater_free(f);
		}
	}
	free(text);
}

/* A page that repeats after more than 256 bytes: with a window of 8 bits it must not be seen. */
static void a_small_window_is_kept_to(void **unused)
{
	(void)unused;
	char page[250 + 256], both[4 * sizeof(page)];
	for (size_t period = 240; period <= sizeof(page); period++) {
		noise(page, period, (uint32_t)period);
		for (size_t at = 0; at < sizeof(both); at++)
			both[at] = page[at % period];
		for (unsigned bits = 8; bits <= 9; bits++) {
			struct crew__deflater *d = crew__deflater_new(bits, 9);
			struct crew__inflater *f = crew__inflater_new(bits);
			struct crew__buf out;
			assert_true(d && f);
			crew__buf_init(&out, LONG);
			crew_bytes body = { both, sizeof(both) };
			if (crew__deflate(d, body, true, &out) == 0)
				expect(f, bytes_of(&out), body, 1);
			else
				assert_true(period > 249);
			crew__buf_release(&out);
			crew__deflater_free(d);
			crew__inflater_free(f);
		}
	}
}

static void what_does_not_shrink_stays_plain(void **unused)
{
	(void)unused;
	struct crew__deflater *d = crew__deflater_new(15, CREW__DEFLATE_LEVEL);
	struct crew__inflater *f = crew__inflater_new(15);
	struct crew__buf out;
	char data[3000], text[500];
	assert_true(d && f);
	crew__buf_init(&out, LONG);
	assert_int_equal(crew__buf_append(&out, "head", 4), 0);
	noise(data, sizeof(data), 7);
	fill(text, sizeof(text), 3);
	for (size_t len = 0; len <= sizeof(data); len += len < 40 ? 1 : 370) {
		assert_int_equal(crew__deflate(d, (crew_bytes){ data, len }, true, &out), 1);
		assert_int_equal(out.len, 4);
		assert_memory_equal(out.data, "head", 4);
	}
	/* The peer has not seen them: what comes next does not refer to them. */
	memcpy(data + 100, text, sizeof(text));
	assert_int_equal(crew__deflate(d, (crew_bytes){ data, 100 }, true, &out), 1);
	assert_int_equal(crew__deflate(d, (crew_bytes){ data, 600 }, true, &out), 0);
	expect(f, (crew_bytes){ out.data + 4, out.len - 4 }, (crew_bytes){ data, 600 }, 100);
	crew__buf_release(&out);
	crew__deflater_free(d);
	crew__inflater_free(f);
}

/* With takeover the second of two equal messages is next to nothing; without, it is as the first.
 */
static void takeover_refers_to_what_was(void **unused)
{
	(void)unused;
	char text[2000];
	noise(text, sizeof(text), 5);
	memcpy(text + 1000, text, 1000);
	for (unsigned takeover = 0; takeover < 2; takeover++) {
		struct crew__deflater *d = crew__deflater_new(15, CREW__DEFLATE_LEVEL);
		struct crew__buf one, two;
		crew_bytes body = { text, sizeof(text) };
		assert_non_null(d);
		crew__buf_init(&one, LONG);
		crew__buf_init(&two, LONG);
		assert_int_equal(crew__deflate(d, body, takeover, &one), 0);
		assert_int_equal(crew__deflate(d, body, takeover, &two), 0);
		if (takeover) {
			assert_true(two.len < 60);
		} else {
			assert_int_equal(one.len, two.len);
			assert_memory_equal(one.data, two.data, one.len);
		}
		crew__buf_release(&one);
		crew__buf_release(&two);
		crew__deflater_free(d);
	}
}

/* Without room or memory for it nothing has happened. */
static void a_full_buffer_is_left_alone(void **unused)
{
	(void)unused;
	struct crew__deflater *d = crew__deflater_new(15, CREW__DEFLATE_LEVEL);
	struct crew__buf out;
	char text[1000];
	assert_non_null(d);
	fill(text, sizeof(text), 1);
	crew__buf_init(&out, 1003);
	crew_bytes body = { text, sizeof(text) };
	assert_int_equal(crew__deflate(d, body, false, &out), -ENOBUFS);
	assert_int_equal(out.len, 0);
	crew__buf_release(&out);
	crew__buf_init(&out, 300);
	noise(text, sizeof(text), 1);
	assert_int_equal(crew__deflate_part(d, body, false, &out), -ENOBUFS);
	assert_int_equal(out.len, 0);
	assert_int_equal(crew__deflate_part(d, (crew_bytes){ text, 200 }, true, &out), 0);
	struct crew__inflater *f = crew__inflater_new(15);
	assert_non_null(f);
	expect(f, bytes_of(&out), (crew_bytes){ text, 200 }, 50);
	crew__buf_release(&out);
	crew__inflater_free(f);
	crew__deflater_free(d);
}

/* Each part can be inflated as it is there, and all of them are one message. */
static void parts_are_one_message(void **unused)
{
	(void)unused;
	static const size_t sizes[] = { 1, 100, 0, 5000, 150 * 1000, 3, 0 };
	char *text = malloc(LONG);
	assert_non_null(text);
	for (unsigned message = 0; message < 3; message++) {
		struct crew__deflater *d = crew__deflater_new(12, CREW__DEFLATE_LEVEL);
		struct crew__inflater *f = crew__inflater_new(12);
		struct crew__buf out;
		assert_true(d && f);
		for (size_t i = 0; i < crew__lengthof(sizes); i++) {
			bool last = i + 1 == crew__lengthof(sizes) - message % 2;
			crew__buf_init(&out, LONG);
			if (i % 2)
				noise(text, sizes[i], 9);
			else
				fill(text, sizes[i], 9);
			crew_bytes body = { text, sizes[i] };
			assert_int_equal(crew__deflate_part(d, body, last, &out), 0);
			crew_bytes packed = bytes_of(&out);
			size_t n = 0, len = 0;
			char *room = malloc(sizes[i] + 1);
			assert_non_null(room);
			assert_int_equal(crew__inflate(f, &packed, room, sizes[i] + 1, &n),
				CREW__INFLATED_ALL);
			len += n;
			assert_int_equal(len, sizes[i]);
			assert_memory_equal(room, text, len);
			free(room);
			crew__buf_release(&out);
			if (last)
				break;
		}
		assert_true(crew__inflate_end(f));
		crew__deflater_free(d);
		crew__inflater_free(f);
	}
	free(text);
}

static void an_empty_message_in_parts(void **unused)
{
	(void)unused;
	struct crew__deflater *d = crew__deflater_new(15, CREW__DEFLATE_LEVEL);
	struct crew__inflater *f = crew__inflater_new(15);
	assert_true(d && f);
	for (int i = 0; i < 3; i++) {
		struct crew__buf out;
		crew__buf_init(&out, LONG);
		assert_int_equal(crew__deflate_part(d, (crew_bytes){ NULL, 0 }, true, &out), 0);
		assert_int_equal(out.len, 1);
		expect(f, bytes_of(&out), (crew_bytes){ "", 0 }, 10);
		crew__buf_release(&out);
	}
	crew__deflater_free(d);
	crew__inflater_free(f);
}

/* A bomb is made only as far as there is room, whatever it would become. */
static void no_more_than_the_room(void **unused)
{
	(void)unused;
	struct crew__deflater *d = crew__deflater_new(15, 9);
	struct crew__inflater *f = crew__inflater_new(15);
	const size_t size = 20 * 1000 * 1000;
	char *zeros = calloc(1, size), room[1000];
	struct crew__buf out;
	assert_true(d && f && zeros);
	crew__buf_init(&out, size + 10);
	assert_int_equal(crew__deflate(d, (crew_bytes){ zeros, size }, false, &out), 0);
	assert_true(out.len < 25000);
	crew_bytes packed = bytes_of(&out);
	for (int i = 0; i < 5; i++) {
		size_t n;
		assert_int_equal(
			crew__inflate(f, &packed, room, sizeof(room), &n), CREW__INFLATED_FULL);
		assert_int_equal(n, sizeof(room));
	}
	assert_true(packed.len > out.len - 200);
	crew__inflater_reset(f); /* and it is as new */
	expect(f, (crew_bytes){ "\0", 1 }, (crew_bytes){ "", 0 }, 1);
	free(zeros);
	crew__buf_release(&out);
	crew__deflater_free(d);
	crew__inflater_free(f);
}

/* A window of 8 bits sees what lies 256 bytes back and nothing further. */
static void beyond_the_window_is_damage(void **unused)
{
	(void)unused;
	char text[1300];
	noise(text, sizeof(text), 3);
	memcpy(text + 1000, text, 300);
	struct crew__deflater *d = crew__deflater_new(15, 9);
	struct crew__buf out;
	assert_non_null(d);
	crew__buf_init(&out, LONG);
	assert_int_equal(crew__deflate(d, (crew_bytes){ text, sizeof(text) }, false, &out), 0);
	for (unsigned bits = 8; bits <= 10; bits++) {
		struct crew__inflater *f = crew__inflater_new(bits);
		crew_bytes packed = bytes_of(&out);
		enum crew__inflated r = CREW__INFLATED_FULL;
		size_t n, len = 0;
		assert_non_null(f);
		for (; r == CREW__INFLATED_FULL; len += n) {
			char byte;
			r = crew__inflate(f, &packed, &byte, 1, &n);
		}
		assert_int_equal(r, bits == 10 ? CREW__INFLATED_ALL : CREW__INFLATED_BAD);
		assert_true(bits == 10 ? len == 1300 : len < 1010);
		crew__inflater_free(f);
	}
	crew__buf_release(&out);
	crew__deflater_free(d);
}

/* One connection's bytes are not to be had by the next: the window begins empty. */
static void a_lent_inflater_has_forgotten(void **unused)
{
	(void)unused;
	struct crew__deflate_shared s;
	char room[100];
	size_t n;
	crew__deflate_shared_init(&s);
	struct crew__inflater *f = crew__inflater_lend(&s, false);
	assert_non_null(f);
	expect(f, (crew_bytes){ "\xF2\x48\xCD\xC9\xC9\x07\x00", 7 }, CREW_BYTES("Hello"), 5);
	crew__inflater_return(&s, f, false);
	assert_ptr_equal(crew__inflater_lend(&s, true), f);
	crew_bytes packed = { "\xF2\x00\x11\x00\x00", 5 };
	assert_int_equal(crew__inflate(f, &packed, room, sizeof(room), &n), CREW__INFLATED_BAD);
	assert_int_equal(n, 1); /* a letter, and then what lies before the beginning */
	crew__inflater_return(&s, f, true);
	crew__deflate_shared_fini(&s);
}

static void so_many_are_lent_and_no_more(void **unused)
{
	(void)unused;
	struct crew__deflate_shared s;
	struct crew__inflater *lent[CREW__INFLATERS_LENT];
	crew__deflate_shared_init(&s);
	for (size_t i = 0; i < CREW__INFLATERS_LENT; i++) {
		lent[i] = crew__inflater_lend(&s, false);
		assert_non_null(lent[i]);
	}
	errno = 0;
	assert_null(crew__inflater_lend(&s, false));
	assert_int_equal(errno, ENOBUFS);
	struct crew__inflater *f = crew__inflater_lend(&s, true);
	assert_non_null(f);
	crew__inflater_return(&s, f, true);
	for (size_t i = 0; i < CREW__INFLATERS_LENT; i++)
		crew__inflater_return(&s, lent[i], false);
	assert_int_equal(s.lent, 0);
	assert_true(s.idle_count <= crew__lengthof(s.idle));
	crew__deflate_shared_fini(&s);
}

static void one_compressor_for_each_window(void **unused)
{
	(void)unused;
	struct crew__deflate_shared s;
	crew__deflate_shared_init(&s);
	for (unsigned bits = 8; bits <= 15; bits++) {
		struct crew__deflater *d = crew__deflate_shared_deflater(&s, bits);
		assert_non_null(d);
		assert_ptr_equal(crew__deflate_shared_deflater(&s, bits), d);
		for (unsigned other = 8; other < bits; other++)
			assert_ptr_not_equal(crew__deflate_shared_deflater(&s, other), d);
	}
	crew__deflate_shared_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_window_there_and_back),
		cmocka_unit_test(a_small_window_is_kept_to),
		cmocka_unit_test(what_does_not_shrink_stays_plain),
		cmocka_unit_test(takeover_refers_to_what_was),
		cmocka_unit_test(a_full_buffer_is_left_alone),
		cmocka_unit_test(parts_are_one_message),
		cmocka_unit_test(an_empty_message_in_parts),
		cmocka_unit_test(no_more_than_the_room),
		cmocka_unit_test(beyond_the_window_is_damage),
		cmocka_unit_test(a_lent_inflater_has_forgotten),
		cmocka_unit_test(so_many_are_lent_and_no_more),
		cmocka_unit_test(one_compressor_for_each_window),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
