/* metrics_names.c - what the families are called, so that no name means two things.
 *
 * A family of one name has samples with endings (`_total`, `_bucket`, ...), and OpenMetrics forbids
 * that a sample's name of one family is another family's. So the gauge `connections` cannot stand
 * beside the counter `connections_total`: the two gauges of which that is true have longer names.
 */
#include "admin/metrics.h"

#include <string.h>

const struct crew__metric_family crew__metric_families[] = {
	{ "crew_up", "gauge", NULL, "1: the master process runs; 0: it is stopped" },
	{ "crew_tls_certificate_expiry_seconds", "gauge", "seconds",
		"when the first certificate of a service expires, as Unix time" },
	{ "crew_build", "info", NULL, "which program this is, and of which crew" },
	{ "crew_uptime_seconds", "gauge", "seconds", "since the master began" },
	{ "crew_generation", "gauge", NULL, "1, and one more for each reload" },
	{ "crew_worker_state", "gauge", NULL, "processes of a worker id in each state" },
	{ "crew_worker_memory_bytes", "gauge", "bytes",
		"resident memory; with --single that of the one process, for each service" },
	{ "crew_worker_busy_seconds", "gauge", "seconds",
		"how long a worker has been stuck in one turn of its loop, from half a second on" },
	{ "crew_worker_crash_loop", "gauge", NULL,
		"1: it dies young again and again, and is started ever later; 0: it does not" },
	{ "crew_worker_exits", "counter", NULL, "processes that ended, by how they did" },
	{ "crew_send_fail", "counter", NULL, "messages lost, by reason" },
	{ "crew_closes", "counter", NULL, "connections that ended, by reason" },
	{ "crew_loop_turn_seconds", "histogram", "seconds", NULL },
	{ "crew_callback_seconds", "histogram", "seconds", NULL },
	{ "crew_send_queue_age_seconds", "histogram", "seconds", NULL },
	{ "crew_offload_wait_seconds", "histogram", "seconds", NULL },
	{ NULL, NULL, NULL, NULL },
};

static void cut_total(char *name)
{
	static const char total[] = "_total";
	size_t length = strlen(name), ending = sizeof(total) - 1;
	if (length > ending && strcmp(name + length - ending, total) == 0)
		name[length - ending] = '\0';
}

void crew__metric_name(const char *group, const char *name, bool gauge, crew__metric_name_text text)
{
	if (strcmp(group, "send_fail_by_reason") == 0)
		name = "send_fail";
	else if (strcmp(group, "closes_by_reason") == 0)
		name = "closes";
	else if (gauge && strcmp(name, "connections") == 0)
		name = "connections_open";
	else if (gauge && strcmp(name, "slow") == 0)
		name = "slow_connections";
	snprintf(text, CREW__METRIC_NAME_MAX, "crew_%s", name);
	if (!gauge)
		cut_total(text);
}

/* ---- counters of the program --------------------------------------------------------------- */

/* Is `longer` what a sample of the family `name` may be called? */
static bool is_sample_of(const char *longer, const char *name)
{
	static const char *const endings[] = { "", "_total", "_created", "_bucket", "_count",
		"_sum", "_info" };
	size_t length = strlen(name);
	if (strncmp(longer, name, length) != 0)
		return false;
	for (size_t i = 0; i < crew__lengthof(endings); i++)
		if (strcmp(longer + length, endings[i]) == 0)
			return true;
	return false;
}

static bool clash(const char *a, const char *b)
{
	return is_sample_of(a, b) || is_sample_of(b, a);
}

static bool is_ours(const char *name)
{
	static const struct {
		const char *group, *name;
		bool gauge;
	} table[] = {
#define X(field, kind, group, key, unit, sentence) { group, key, #kind[0] == 'G' },
		CREW_COUNTER_TABLE(X)
#undef X
	};
	char text[CREW__METRIC_NAME_MAX];
	for (const struct crew__metric_family *family = crew__metric_families; family->name;
		family++)
		if (clash(name, family->name))
			return true;
	for (size_t i = 0; i < crew__lengthof(table); i++) {
		crew__metric_name(table[i].group, table[i].name, table[i].gauge, text);
		if (clash(name, text))
			return true;
	}
	return false;
}

static bool is_taken(crew__metric_name_text *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (clash(name, names[i]))
			return true;
	return is_ours(name);
}

static void choose(crew__metric_name_text *names, size_t index, const char *name)
{
	char *text = names[index];
	snprintf(text, CREW__METRIC_NAME_MAX, "crew_%s", name);
	cut_total(text);
	if (!is_taken(names, index, text))
		return;
	snprintf(text, CREW__METRIC_NAME_MAX, "crew_app_%s", name);
	cut_total(text);
	for (unsigned next = 2; is_taken(names, index, text); next++)
		snprintf(text, CREW__METRIC_NAME_MAX, "crew_app_%s_%u", name, next);
}

void crew__metric_app_names(
	const crew_counter *counters, crew__metric_name_text names[CREW_MAX_COUNTERS])
{
	for (size_t i = 0; i < CREW_MAX_COUNTERS && counters[i].name; i++)
		choose(names, i, counters[i].name);
}
