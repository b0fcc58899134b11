/* desk.c - a program with slow work, which the scenario tests speak to in lines.
 *
 *   ping              "pong", at once
 *   hold FILE         slow work that comes back once FILE is there: "FILE done", or "FILE
 * ETIMEDOUT" and the like when it was not done held FILE         the same for this connection: not
 * done when it has gone descriptors       slow work that starts a program: how many descriptors
 * that one has many N            N times quick work: "N done" once all are told */
#define _GNU_SOURCE /* strerrorname_np */
#include <crew/crew.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct errand {
	uint64_t from;
	char file[64];
	char answer[80];
};

static struct {
	uint64_t from;
	int left, all;
} many;

static void answer(uint64_t from, const char *text)
{
	crew_send(crew_find(from), crew_str(text));
}

static void hold(void *arg)
{
	const struct errand *errand = arg;
	while (access(errand->file, F_OK) < 0)
		usleep(5000);
}

static void count_descriptors(void *arg)
{
	struct errand *errand = arg;
	FILE *list = popen("ls /proc/self/fd | wc -l", "r");
	if (!list || !fgets(errand->answer, (int)sizeof(errand->answer), list))
		snprintf(errand->answer, sizeof(errand->answer), "cannot be counted");
	errand->answer[strcspn(errand->answer, "\n")] = '\0';
	if (list)
		pclose(list);
}

static void tell_count(crew_worker *w, int error, void *arg)
{
	struct errand *errand = arg;
	(void)w;
	(void)error;
	answer(errand->from, errand->answer);
	free(errand);
}

static void tell(crew_worker *w, int error, void *arg)
{
	struct errand *errand = arg;
	(void)w;
	snprintf(errand->answer, sizeof(errand->answer), "%s %s", errand->file,
		error ? strerrorname_np(-error) : "done");
	crew_log(CREW_INFO, "told: %s", errand->answer);
	answer(errand->from, errand->answer);
	free(errand);
}

static void do_nothing(void *arg)
{
	(void)arg;
}

static void tell_one(crew_worker *w, int error, void *arg)
{
	char text[32];
	(void)w;
	(void)arg;
	many.all += error == 0;
	if (--many.left > 0)
		return;
	snprintf(text, sizeof(text), "%d done", many.all);
	answer(many.from, text);
}

static void send_off_many(crew_conn *c, int count)
{
	many.from = crew_id(c);
	many.left = count;
	many.all = 0;
	for (int i = 0; i < count; i++)
		if (crew_offload(crew_worker_of(c), do_nothing, tell_one, NULL) < 0)
			tell_one(NULL, -ENOBUFS, NULL);
}

static struct errand *new_errand(crew_conn *c, const char *file)
{
	struct errand *errand = calloc(1, sizeof(*errand));
	if (errand) {
		errand->from = crew_id(c);
		snprintf(errand->file, sizeof(errand->file), "%s", file);
	}
	return errand;
}

static void send_off(crew_conn *c, const char *file, bool for_it)
{
	struct errand *errand = new_errand(c, file);
	const crew_offload_options options = { .conn = for_it ? crew_id(c) : 0 };
	int64_t id = errand ? crew_offload_with(crew_worker_of(c), hold, tell, errand, &options)
			    : -ENOMEM;
	if (id > 0)
		return;
	crew_send(c, crew_str(strerrorname_np((int)-id)));
	free(errand);
}

static void on_message(crew_conn *c, crew_msg msg)
{
	char line[64];
	snprintf(line, sizeof(line), "%.*s", (int)msg.body.len, msg.body.data);
	if (strcmp(line, "ping") == 0)
		crew_send(c, CREW_BYTES("pong"));
	else if (strncmp(line, "hold ", 5) == 0)
		send_off(c, line + 5, false);
	else if (strncmp(line, "held ", 5) == 0)
		send_off(c, line + 5, true);
	else if (strncmp(line, "many ", 5) == 0)
		send_off_many(c, atoi(line + 5));
	else
		crew_offload(crew_worker_of(c), count_descriptors, tell_count, new_errand(c, ""));
}

static void on_worker_stop(crew_worker *w)
{
	(void)w;
	crew_log(CREW_INFO, "told: the end");
}

static const crew_service desk = {
	.name = "desk",
	.listen = "text://127.0.0.1:7020",
	.on_message = on_message,
	.on_worker_stop = on_worker_stop,
};

int main(int argc, char **argv)
{
	return crew_main(argc, argv, &(crew_app){ .services = { &desk } });
}
