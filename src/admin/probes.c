/* probes.c - what machines ask: metrics, and whether the program is well. */
#include "admin/parts.h"

#include "admin/health.h"
#include "web/accept.h"

#include <signal.h>

/* Whoever names OpenMetrics gets it, unless it wants the other more; `*` names nothing. */
static enum crew__metrics_format wanted_format(const crew_request *request)
{
	const crew_header *fields = request->headers;
	size_t count = request->header_count;
	bool open = crew__accept_prefers(
		fields, count, "application/openmetrics-text", "text/plain");
	return open ? CREW__OPENMETRICS : CREW__PROMETHEUS;
}

void crew__admin_metrics(crew_conn *c, const crew_request *request)
{
	struct crew__document document;
	enum crew__metrics_format format = wanted_format(request);
	if (!crew__admin_look(c, false))
		return;
	(void)crew_reply_header(c, "Vary", CREW_BYTES("Accept"));
	crew__document_open(&document);
	if (document.out)
		crew__metrics_print(&crew__admin_sight()->metrics, format, document.out);
	crew__answer_document(c, 200, crew__metrics_type(format), &document, 0);
}

/* That this is answered says that the worker turns. Only its master may be away, for the moment
 * that it takes until the worker hears of that. */
void crew__admin_live(crew_conn *c, const crew_request *request)
{
	const struct crew__sight *sight = crew__admin_sight();
	(void)request;
	if (sight->status && kill(sight->status->master, 0) != 0 && errno == ESRCH)
		crew__answer(c, 503, NULL, CREW_BYTES("the master is gone\n"));
	else
		crew__answer(c, 200, NULL, CREW_BYTES("ok\n"));
}

void crew__admin_ready(crew_conn *c, const crew_request *request)
{
	const struct crew__sight *sight = crew__admin_sight();
	struct crew__document document;
	struct crew__health health;
	bool json = crew__accept_prefers(
		request->headers, request->header_count, "application/json", "text/plain");
	if (!crew__admin_look(c, false))
		return;
	crew__health_judge(&health, sight->status, sight->settings);
	crew__document_open(&document);
	if (document.out && json)
		crew__health_json(&health, document.out);
	else if (document.out)
		crew__health_text(&health, document.out);
	crew__answer_document(
		c, health.ready ? 200 : 503, json ? CREW__ANSWER_JSON : NULL, &document, 0);
}
