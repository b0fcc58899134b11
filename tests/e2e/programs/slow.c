/* slow.c - a program whose messages have numbers, and that tells its clients what they have missed.
 *
 * A message is a command; the answer begins with `= `, and passes whatever else waits.
 *
 *   id                        the asker's connection id
 *   feed N SIZE KEYS TTL      N messages of SIZE bytes to everybody, `KEYS` different keys in turn
 *                             (0: none), to live TTL ms (0: for ever); answers how often one was
 *                             accepted
 *   policy HEX NAME           the policy of one connection; answers 0
 *   rate HEX BYTES MESSAGES   its caps; answers 0
 *
 * A message of the feed is "m NUMBER KEY" and filling; numbers begin at 1. What a policy lost of a
 * connection is told to it as "gap MESSAGES FIRST LAST". */
#include <crew/crew.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum counter {
	TOLD_LOST,
	TOLD_GAPS
};

static uint64_t number;

static void answer(crew_conn *c, int64_t value)
{
	char text[40];
	int n = snprintf(text, sizeof(text), "= %" PRId64, value);
	crew_send_with(c, (crew_bytes){ text, (size_t)n },
		&(crew_send_options){ .priority = CREW_HIGH, .policy = CREW_DROP_NEWEST });
}

static int64_t feed_one(const crew_service *service, size_t size, unsigned keys, int64_t ttl)
{
	char key[20] = "";
	char *body = malloc(size + 60);
	if (!body)
		return 0;
	number++;
	if (keys > 0)
		snprintf(key, sizeof(key), "key%u", (unsigned)(number % keys));
	int n = snprintf(body, 60, "m %" PRIu64 " %s ", number, key);
	if (size > (size_t)n)
		memset(body + n, '.', size - (size_t)n);
	crew_shared *s = crew_shared_new_with(
		(crew_bytes){ body, size > (size_t)n ? size : (size_t)n },
		&(crew_send_options){ .sequence = number, .key = crew_str(key), .ttl_ms = ttl });
	int64_t accepted = s ? crew_broadcast(service, s) : 0;
	crew_shared_unref(s);
	free(body);
	return accepted;
}

static void feed(crew_conn *c, unsigned count, size_t size, unsigned keys, int64_t ttl)
{
	int64_t accepted = 0;
	for (unsigned i = 0; i < count; i++)
		accepted += feed_one(crew_service_of(c), size, keys, ttl);
	answer(c, accepted);
}

static crew_policy policy_of(const char *name)
{
	for (int policy = 1; policy < CREW_POLICIES; policy++)
		if (strcmp(crew_policy_name((crew_policy)policy), name) == 0)
			return (crew_policy)policy;
	return CREW_POLICIES;
}

static void say_id(crew_conn *c)
{
	char text[40];
	int n = snprintf(text, sizeof(text), "= %016" PRIx64, crew_id(c));
	crew_send(c, (crew_bytes){ text, (size_t)n });
}

static void obey(crew_conn *c, crew_msg msg)
{
	char line[200], word[40];
	uint64_t id;
	unsigned count, keys;
	size_t size;
	int64_t ttl, bytes, messages;
	snprintf(line, sizeof(line), "%.*s", (int)msg.body.len, msg.body.data);
	if (strcmp(line, "id") == 0)
		say_id(c);
	else if (sscanf(line, "feed %u %zu %u %" SCNd64, &count, &size, &keys, &ttl) == 4)
		feed(c, count, size, keys, ttl);
	else if (sscanf(line, "policy %" SCNx64 " %39s", &id, word) == 2)
		answer(c, crew_set_policy(crew_find(id), policy_of(word)));
	else if (sscanf(line, "rate %" SCNx64 " %" SCNd64 " %" SCNd64, &id, &bytes, &messages) == 3)
		answer(c, crew_set_rate(crew_find(id), bytes, messages));
	else
		answer(c, -1);
}

static void tell_gap(crew_conn *c, const crew_gap *gap)
{
	char text[100];
	int n = snprintf(text, sizeof(text), "gap %" PRIu64 " %" PRIu64 " %" PRIu64, gap->messages,
		gap->first, gap->last);
	crew_count(crew_worker_of(c), TOLD_GAPS, (int64_t)gap->messages);
	crew_send(c, (crew_bytes){ text, (size_t)n });
}

static void tell_loss(crew_conn *c, const crew_loss *loss)
{
	crew_count(crew_worker_of(c), TOLD_LOST, (int64_t)loss->messages);
}

int main(int argc, char **argv)
{
	static const crew_service service = {
		.name = "slow",
		.listen = "ws://127.0.0.1:0",
		.on_message = obey,
		.on_gap = tell_gap,
		.on_error = tell_loss,
	};
	static const crew_app app = {
		.services = { &service },
		.counters = {
			[TOLD_LOST] = { "told_lost", "messages", "losses that on_error told of" },
			[TOLD_GAPS] = { "told_gaps", "messages", "losses that on_gap told of" },
		},
	};
	return crew_main(argc, argv, &app);
}
