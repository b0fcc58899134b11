/* metrics_text.c - the model of the metrics as text, in the two formats that Prometheus reads.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4) and OpenMetrics 1.0.0. They
 * differ in what a family is called (the samples' names are the same), in UNIT, in the types that
 * there are, in what is escaped, and in the end. */
#include "admin/metrics.h"

#include "cli/screen.h"

#include <inttypes.h>
#include <string.h>

enum {
	TEXT_MAX = 512, /* of a label's value or a sentence */
	FIRST_BUCKET = 4,
	LAST_BUCKET = 26, /* le from 16 µs to 67 s */
	US_PER_S = 1000000,
};

/* What one printing knows. */
struct page {
	FILE *out;
	enum crew__metrics_format format;
	const struct crew__metrics *metrics;
};

struct counter {
	size_t offset; /* in struct crew__slab */
	bool gauge;
	const char *group, *name, *sentence;
};

static const struct counter table[] = {
#define X(field, kind, group, name, unit, sentence) \
	{ offsetof(struct crew__slab, field), #kind[0] == 'G', group, name, sentence },
	CREW_COUNTER_TABLE(X)
#undef X
};

const char *crew__metrics_type(enum crew__metrics_format format)
{
	return format == CREW__OPENMETRICS
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- pieces -------------------------------------------------------------------------------- */

/* What is quoted may come from other processes and from the program. */
static void put_escaped(struct page *page, const char *text, bool quotes)
{
	char clean[TEXT_MAX];
	crew__screen_clean(clean, sizeof(clean), text, strlen(text));
	for (const char *at = clean; *at; at++) {
		if (*at == '\\' || (quotes && *at == '"'))
			fputc('\\', page->out);
		fputc(*at, page->out);
	}
}

static void put_label(struct page *page, const char *before, const char *name, const char *value)
{
	fprintf(page->out, "%s%s=\"", before, name);
	put_escaped(page, value, true);
	fputc('"', page->out);
}

static bool ends_with(const char *text, const char *ending)
{
	size_t length = strlen(text), most = strlen(ending);
	return most > 0 && length > most && text[length - most - 1] == '_' &&
	       strcmp(text + length - most, ending) == 0;
}

/* What OpenMetrics calls the family, and Prometheus its samples. */
static const char *ending_of(const char *type)
{
	if (strcmp(type, "counter") == 0)
		return "_total";
	return strcmp(type, "info") == 0 ? "_info" : "";
}

static void put_head(struct page *page, const struct crew__metric_family *family)
{
	bool open = page->format == CREW__OPENMETRICS;
	const char *ending = open ? "" : ending_of(family->type);
	const char *type = !open && strcmp(family->type, "info") == 0 ? "gauge" : family->type;
	fprintf(page->out, "# TYPE %s%s %s\n", family->name, ending, type);
	if (open && family->unit && ends_with(family->name, family->unit))
		fprintf(page->out, "# UNIT %s %s\n", family->name, family->unit);
	fprintf(page->out, "# HELP %s%s ", family->name, ending);
	put_escaped(page, family->sentence, open);
	fputc('\n', page->out);
}

/* "NAME{service=...,worker=..." */
static void put_worker(
	struct page *page, const char *name, const struct crew__metrics_worker *worker)
{
	char id[16];
	snprintf(id, sizeof(id), "%" PRIu32, worker->id);
	fputs(name, page->out);
	put_label(page, "{", "service", worker->service);
	put_label(page, ",", "worker", worker->others ? "others" : id);
}

static void put_seconds(struct page *page, const char *before, uint64_t us)
{
	fprintf(page->out, "%s%" PRIu64 ".%06" PRIu64 "\n", before, us / US_PER_S, us % US_PER_S);
}

static const struct crew__metric_family *family_of(const char *name)
{
	const struct crew__metric_family *family = crew__metric_families;
	while (strcmp(family->name, name) != 0)
		family++;
	return family;
}

/* The next worker of which there are series, from `index` on; NULL after the last. */
static const struct crew__metrics_worker *next_worker(const struct page *page, size_t *index)
{
	while (*index < page->metrics->count) {
		const struct crew__metrics_worker *worker = &page->metrics->workers[(*index)++];
		if (!worker->unread)
			return worker;
	}
	return NULL;
}

/* ---- counters and gauges of the table ------------------------------------------------------ */

static uint64_t value_of(const struct crew__metrics_worker *worker, size_t offset)
{
	uint64_t value;
	memcpy(&value, (const char *)&worker->sums + offset, sizeof(value));
	return value;
}

static void put_values(
	struct page *page, const char *sample, const char *reason, size_t offset, bool gauge)
{
	const struct crew__metrics_worker *worker;
	for (size_t i = 0; (worker = next_worker(page, &i)) != NULL;) {
		if (gauge && worker->others)
			continue;
		put_worker(page, sample, worker);
		if (reason)
			put_label(page, ",", "reason", reason);
		fprintf(page->out, "} %" PRIu64 "\n", value_of(worker, offset));
	}
}

static void put_family(struct page *page, const char *name, const char *sentence, const char *unit,
	size_t offset, bool gauge)
{
	char sample[CREW__METRIC_NAME_MAX + 8];
	const struct crew__metric_family family = { .name = name,
		.type = gauge ? "gauge" : "counter",
		.unit = unit,
		.sentence = sentence };
	put_head(page, &family);
	snprintf(sample, sizeof(sample), "%s%s", name, ending_of(family.type));
	put_values(page, sample, NULL, offset, gauge);
}

static void put_reasons(struct page *page, const char *name, const char *group)
{
	char sample[CREW__METRIC_NAME_MAX + 8];
	put_head(page, family_of(name));
	snprintf(sample, sizeof(sample), "%s_total", name);
	for (size_t i = 0; i < crew__lengthof(table); i++)
		if (strcmp(table[i].group, group) == 0)
			put_values(page, sample, table[i].name, table[i].offset, false);
}

static void put_table(struct page *page)
{
	crew__metric_name_text name;
	for (size_t i = 0; i < crew__lengthof(table); i++) {
		const struct counter *counter = &table[i];
		if (*counter->group)
			continue;
		crew__metric_name(counter->group, counter->name, counter->gauge, name);
		/* The sum of its reasons, which would be counted twice. */
		if (strcmp(name, "crew_send_fail") != 0)
			put_family(page, name, counter->sentence, NULL, counter->offset,
				counter->gauge);
	}
	put_reasons(page, "crew_send_fail", "send_fail_by_reason");
	put_reasons(page, "crew_closes", "closes_by_reason");
}

static void put_app_counters(struct page *page)
{
	const crew_counter *counters = page->metrics->status->counters;
	crew__metric_name_text names[CREW_MAX_COUNTERS];
	crew__metric_app_names(counters, names);
	for (size_t i = 0; i < CREW_MAX_COUNTERS && counters[i].name; i++)
		put_family(page, names[i], counters[i].help ? counters[i].help : counters[i].name,
			counters[i].unit, offsetof(struct crew__slab, app) + i * sizeof(uint64_t),
			false);
}

/* ---- histograms ---------------------------------------------------------------------------- */

/* Bucket i holds what is below 2^i µs, so those up to i are what is at most that long. */
static void put_buckets(struct page *page, const char *sample,
	const struct crew__metrics_worker *worker, const struct crew__histogram *h)
{
	uint64_t below = 0, us;
	for (unsigned i = 0; i < FIRST_BUCKET; i++)
		below += h->count[i];
	for (unsigned i = FIRST_BUCKET; i <= LAST_BUCKET; i++) {
		below += h->count[i];
		us = UINT64_C(1) << i;
		put_worker(page, sample, worker);
		fprintf(page->out, ",le=\"%" PRIu64 ".%06" PRIu64 "\"} %" PRIu64 "\n",
			us / US_PER_S, us % US_PER_S, below);
	}
	for (unsigned i = LAST_BUCKET + 1; i < CREW__BUCKETS; i++)
		below += h->count[i];
	put_worker(page, sample, worker);
	fprintf(page->out, ",le=\"+Inf\"} %" PRIu64 "\n", below);
}

static uint64_t count_of(const struct crew__histogram *h)
{
	uint64_t count = 0;
	for (unsigned i = 0; i < CREW__BUCKETS; i++)
		count += h->count[i];
	return count;
}

static void put_histogram(struct page *page, const char *name, enum crew__measure measure)
{
	const struct crew__metrics_worker *worker;
	char sample[CREW__METRIC_NAME_MAX + 8];
	for (size_t i = 0; (worker = next_worker(page, &i)) != NULL;) {
		const struct crew__histogram *h = &worker->measures[measure];
		snprintf(sample, sizeof(sample), "%s_bucket", name);
		put_buckets(page, sample, worker, h);
		snprintf(sample, sizeof(sample), "%s_sum", name);
		put_worker(page, sample, worker);
		put_seconds(page, "} ", h->sum_us);
		snprintf(sample, sizeof(sample), "%s_count", name);
		put_worker(page, sample, worker);
		fprintf(page->out, "} %" PRIu64 "\n", count_of(h));
	}
}

static void put_measures(struct page *page)
{
	char name[CREW__METRIC_NAME_MAX];
	for (enum crew__measure i = 0; i < CREW__MEASURES; i++) {
		snprintf(name, sizeof(name), "crew_%s_seconds", crew__measure_name(i));
		struct crew__metric_family family = *family_of(name);
		family.sentence = crew__measure_sentence(i);
		put_head(page, &family);
		put_histogram(page, name, i);
	}
}

/* ---- the program and its processes --------------------------------------------------------- */

static void put_program(struct page *page)
{
	const struct crew__status *status = page->metrics->status;
	put_head(page, family_of("crew_up"));
	fprintf(page->out, "crew_up %d\n", !status->master_stopped);
	put_head(page, family_of("crew_build"));
	fputs("crew_build_info", page->out);
	put_label(page, "{", "app", status->app);
	put_label(page, ",", "version", status->version);
	put_label(page, ",", "crew", CREW_VERSION);
	put_label(page, ",", "engine", status->engine);
	put_label(page, ",", "mode", status->mode);
	fputs("} 1\n", page->out);
	put_head(page, family_of("crew_uptime_seconds"));
	fprintf(page->out, "crew_uptime_seconds %.3f\n", status->uptime_s);
	put_head(page, family_of("crew_generation"));
	fprintf(page->out, "crew_generation %" PRIu32 "\n", status->generation);
}

static void put_states(struct page *page)
{
	const struct crew__metrics *metrics = page->metrics;
	put_head(page, family_of("crew_worker_state"));
	for (size_t i = 0; i < metrics->count; i++) {
		if (metrics->workers[i].others)
			continue;
		for (enum crew__shown_state state = 0; state < CREW__SHOWN_STATES; state++) {
			put_worker(page, "crew_worker_state", &metrics->workers[i]);
			put_label(page, ",", "state", crew__shown_state_name(state));
			fprintf(page->out, "} %u\n", metrics->workers[i].processes[state]);
		}
	}
}

static void put_memory_and_busy(struct page *page)
{
	const struct crew__metrics *metrics = page->metrics;
	put_head(page, family_of("crew_worker_memory_bytes"));
	for (size_t i = 0; i < metrics->count; i++) {
		if (metrics->workers[i].others)
			continue;
		put_worker(page, "crew_worker_memory_bytes", &metrics->workers[i]);
		fprintf(page->out, "} %" PRIu64 "\n", metrics->workers[i].memory_bytes);
	}
	put_head(page, family_of("crew_worker_busy_seconds"));
	for (size_t i = 0; i < metrics->count; i++) {
		if (metrics->workers[i].others)
			continue;
		put_worker(page, "crew_worker_busy_seconds", &metrics->workers[i]);
		fprintf(page->out, "} %" PRIu64 ".%03" PRIu64 "\n",
			metrics->workers[i].busy_ms / 1000, metrics->workers[i].busy_ms % 1000);
	}
	put_head(page, family_of("crew_worker_crash_loop"));
	for (size_t i = 0; i < metrics->count; i++) {
		if (metrics->workers[i].others)
			continue;
		put_worker(page, "crew_worker_crash_loop", &metrics->workers[i]);
		fprintf(page->out, "} %d\n", metrics->workers[i].crash_loop);
	}
}

/* One series for a service: the least of its workers, which are rows beside each other. */
static void put_certificates(struct page *page)
{
	const char *name = "crew_tls_certificate_expiry_seconds";
	const struct crew__status *status = page->metrics->status;
	put_head(page, family_of(name));
	for (size_t i = 0, end; i < status->row_count; i = end) {
		int64_t first = 0;
		for (end = i; end < status->row_count; end++) {
			const struct crew__status_row *row = &status->rows[end];
			if (strcmp(row->service, status->rows[i].service) != 0)
				break;
			if (row->tls_expires != 0 && (first == 0 || row->tls_expires < first))
				first = row->tls_expires;
		}
		if (first == 0)
			continue;
		fputs(name, page->out);
		put_label(page, "{", "service", status->rows[i].service);
		fprintf(page->out, "} %" PRId64 "\n", first);
	}
}

static void put_exits(struct page *page)
{
	const struct crew__status *status = page->metrics->status;
	put_head(page, family_of("crew_worker_exits"));
	for (size_t i = 0; i < status->exit_count; i++) {
		const struct crew__status_exit *row = &status->exits[i];
		fputs("crew_worker_exits_total", page->out);
		put_label(page, "{", "service", row->service);
		fprintf(page->out, ",status=\"%d\",signal=\"%d\"} %" PRIu64 "\n", row->status,
			row->signal, row->count);
	}
}

void crew__metrics_print(
	const struct crew__metrics *metrics, enum crew__metrics_format format, FILE *out)
{
	struct page page = { .out = out, .format = format, .metrics = metrics };
	put_program(&page);
	put_states(&page);
	put_memory_and_busy(&page);
	put_certificates(&page);
	put_exits(&page);
	put_table(&page);
	put_app_counters(&page);
	put_measures(&page);
	if (format == CREW__OPENMETRICS)
		fputs("# EOF\n", out);
}
