#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_ways.h"

#include <stdio.h>
#include <string.h>

void stall(struct world *world, crew_conn *c)
{
	char line[POLICY_FILL];
	memset(line, 'F', sizeof(line));
	for (int i = 0; !(c->flags & CREW__C_WRITING); i++) {
		assert_true(i < 10000);
		assert_true(crew_send(c, (crew_bytes){ line, sizeof(line) - 1 }) >= 0);
		world_turn(world, 0);
	}
	assert_true(crew_queued(c) > 0 && crew_queued(c) <= POLICY_FILL);
}

int64_t send_line(crew_conn *c, const char *prefix, unsigned number, size_t len,
	const crew_send_options *options)
{
	static char line[POLICY_ROOM];
	int n = snprintf(line, sizeof(line), "%s-%u", prefix, number);
	assert_true(n > 0 && (size_t)n < len && len < sizeof(line));
	memset(line + n, ' ', len - (size_t)n);
	return crew_send_with(c, (crew_bytes){ line, len - 1 }, options);
}

/* One line: filling, or a prefix, a number and spaces. */
static size_t copy_line(char *to, const char *line, size_t len)
{
	size_t fill = strspn(line, "F");
	if (fill == len) {
		assert_int_equal(len, POLICY_FILL - 1);
		return 0;
	}
	size_t word = strcspn(line, " \n");
	assert_int_equal(word + strspn(line + word, " "), len);
	memcpy(to, line, word);
	to[word] = ' ';
	return word + 1;
}

const char *hear_lines(struct world *world, int peer)
{
	static char room[POLICY_ROOM], text[POLICY_ROOM];
	size_t len = peer_hears_all(world, peer, room, sizeof(room)), at = 0;
	for (size_t start = 0; start < len;) {
		size_t end = start + strcspn(room + start, "\n");
		assert_int_equal(room[end], '\n');
		at += copy_line(text + at, room + start, end - start);
		start = end + 1;
	}
	text[at > 0 ? at - 1 : 0] = '\0';
	return text;
}

unsigned lines_of(const char *heard, const char *prefix)
{
	unsigned count = 0;
	size_t len = strlen(prefix);
	for (const char *at = heard; at && *at; at = strchr(at, ' ')) {
		at += *at == ' ';
		count += strncmp(at, prefix, len) == 0;
	}
	return count;
}
