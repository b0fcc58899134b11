/* talker.c - a program that talks: to the log, and to its standard output and error. It answers
 * each line it gets when the order is done. */
#include <crew/crew.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LINES_AT_ONCE = 4
};

/* "log N": the lines 0 to N - 1, a few each millisecond. */
static struct {
	long next, end;
	int64_t timer;
	uint64_t asker;
} numbers;

static void log_some(crew_worker *w, void *arg)
{
	(void)arg;
	for (int i = 0; i < LINES_AT_ONCE && numbers.next < numbers.end; i++)
		crew_log(CREW_INFO, "number %u %ld end", crew_worker_id(w), numbers.next++);
	if (numbers.next < numbers.end)
		return;
	crew_timer_stop(numbers.timer);
	crew_conn *c = crew_find(numbers.asker);
	if (c)
		crew_send(c, CREW_BYTES("done"));
}

static void begin_numbers(crew_conn *c, long count)
{
	numbers.next = 0;
	numbers.end = count;
	numbers.asker = crew_id(c);
	numbers.timer = crew_timer_every(crew_worker_of(c), 1, log_some, NULL);
}

static const char *behind(const char *line, const char *word)
{
	size_t length = strlen(word);
	return strncmp(line, word, length) == 0 ? line + length : NULL;
}

static void on_message(crew_conn *c, crew_msg msg)
{
	char line[4096];
	const char *rest;
	snprintf(line, sizeof(line), "%.*s", (int)msg.body.len, msg.body.data);
	if ((rest = behind(line, "log "))) {
		begin_numbers(c, atol(rest));
		return;
	}
	if (strcmp(line, "id") == 0) {
		snprintf(line, sizeof(line), "%u", crew_worker_id(crew_worker_of(c)));
		crew_send(c, crew_str(line));
		return;
	}
	if ((rest = behind(line, "say "))) {
		crew_log(CREW_INFO, "%s", rest);
	} else if ((rest = behind(line, "warn "))) {
		crew_log(CREW_WARN, "%s", rest);
	} else if ((rest = behind(line, "out "))) {
		printf("%s\n", rest);
	} else if ((rest = behind(line, "err "))) {
		fprintf(stderr, "%s\n", rest);
	} else if ((rest = behind(line, "flood "))) {
		for (long i = 0; i < atol(rest); i++)
			printf("flood %ld\n", i);
	} else if ((rest = behind(line, "die "))) {
		crew_log(CREW_INFO, "about to die");
		fprintf(stderr, "whole line\n%s", rest);
		abort();
	} else if ((rest = behind(line, "leave "))) {
		crew_log(CREW_ERROR, "%s", rest);
		_exit(3);
	}
	crew_send(c, CREW_BYTES("done"));
}

int main(int argc, char **argv)
{
	static const crew_service talker = {
		.name = "talk",
		.listen = "text://127.0.0.1:7090",
		.on_message = on_message,
	};
	return crew_main(argc, argv, &(crew_app){ .services = { &talker } });
}
