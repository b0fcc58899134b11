/* heads.h - heads of requests as browsers of 2025 and 2026 send them, to no server in particular:
 * what is in them, in which order and how long it is, is theirs; hosts, cookies and ids are made
 * up.
 */
#ifndef CREW_BENCH_HEADS_H
#define CREW_BENCH_HEADS_H

#include <stddef.h>

struct head {
	const char *name;
	const char *text;
	size_t fields;
};

#define CHROME                                                                      \
	"User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 " \
	"(KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n"
#define CHROME_BRANDS                                                      \
	"sec-ch-ua: \"Chromium\";v=\"142\", \"Google Chrome\";v=\"142\", " \
	"\"Not_A Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Windows\"\r\n"
#define FIREFOX \
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n"
#define SAFARI                                                                              \
	"User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 " \
	"(KHTML, like Gecko) Version/26.1 Safari/605.1.15\r\n"
#define IPHONE                                                                \
	"User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) " \
	"AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1\r\n"
#define COOKIES                                                                                \
	"Cookie: sid=s%3AkT9wVbX1nQy7LrZ0uJc4Hd2GfA8eMp5o.3mR6tYq0WzXvB1nKjH8sDfG7aPlO2iUe; "  \
	"theme=dark; _ga=GA1.2.1193046471.1761917442; _ga_Q1W2E3R4T5=GS2.1.s1763712000$o14$g1" \
	"$t1763712431$j60$l0$h0; consent=%7B%22v%22%3A2%2C%22ads%22%3Afalse%2C%22stats%22%3A"  \
	"true%7D; csrf=8f14e45fceea167a5a36dedd4bea2543; tz=Europe%2FBerlin\r\n"

static const struct head heads[] = {
	{ "chrome-page",
		"GET /articles/2026/11/why-a-send-failed?utm_source=newsletter&utm_medium=email "
		"HTTP/1.1\r\nHost: www.example.org\r\nConnection: keep-alive\r\n"
		"Cache-Control: max-age=0\r\n" CHROME_BRANDS
		"Upgrade-Insecure-Requests: 1\r\n" CHROME
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
		"image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\n"
		"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n"
		"Sec-Fetch-Dest: document\r\nReferer: https://www.example.org/articles/\r\n"
		"Accept-Encoding: gzip, deflate, br, zstd\r\n"
		"Accept-Language: de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7\r\n" COOKIES
		"If-None-Match: \"5f3c-64a1b2c3d4e5f\"\r\n\r\n",
		18 },
	{ "chrome-fetch",
		"GET /api/v2/threads/48151623/messages?after=1763712431&limit=50 HTTP/1.1\r\n"
		"Host: app.example.com:8443\r\nConnection: keep-alive\r\n" CHROME_BRANDS
		"Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0ODE1MTYyMyIs"
		"ImV4cCI6MTc2MzcxNjAzMX0.Zm9yIHRoZSBwYXJzZXIgYWxvbmUsIG5vdCBhIHRva2Vu\r\n" CHROME
		"Accept: application/json, text/plain, */*\r\nX-Requested-With: XMLHttpRequest\r\n"
		"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
		"Referer: https://app.example.com:8443/threads/48151623\r\n"
		"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n"
		"Cookie: session=9b74c9897bac770ffc029102a200c5de; locale=en-GB\r\n\r\n",
		16 },
	{ "chrome-image",
		"GET /static/img/logo@2x.4f9a1c.webp HTTP/1.1\r\nHost: cdn.example.net\r\n"
		"Connection: keep-alive\r\nsec-ch-ua-platform: \"Windows\"\r\n" CHROME
		"sec-ch-ua: \"Chromium\";v=\"142\", \"Google Chrome\";v=\"142\"\r\n"
		"sec-ch-ua-mobile: ?0\r\n"
		"Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8\r\n"
		"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n"
		"Referer: https://www.example.org/\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
		"Accept-Language: en-US,en;q=0.9\r\n\r\n",
		13 },
	{ "firefox-page",
		"GET /search?q=epoll+edge+triggered&page=2&sort=relevance HTTP/1.1\r\n"
		"Host: www.example.org\r\n" FIREFOX
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
		"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
		"DNT: 1\r\nSec-GPC: 1\r\nConnection: keep-alive\r\n" COOKIES
		"Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\n"
		"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-User: ?1\r\n"
		"Priority: u=0, i\r\n\r\n",
		15 },
	{ "firefox-script",
		"GET /assets/app.8d1f3e.js HTTP/1.1\r\nHost: www.example.org\r\n" FIREFOX
		"Accept: */*\r\nAccept-Language: en-US,en;q=0.5\r\n"
		"Accept-Encoding: gzip, deflate, br, zstd\r\n"
		"Referer: https://www.example.org/search?q=epoll+edge+triggered\r\n"
		"Connection: keep-alive\r\nSec-Fetch-Dest: script\r\nSec-Fetch-Mode: cors\r\n"
		"Sec-Fetch-Site: same-origin\r\nIf-Modified-Since: Tue, 18 Nov 2026 09:12:44 GMT\r\n"
		"If-None-Match: W/\"8d1f3e-2b1c\"\r\n\r\n",
		12 },
	{ "safari-page",
		"GET / HTTP/1.1\r\nHost: shop.example.com\r\nSec-Fetch-Dest: document\r\n" SAFARI
		"Upgrade-Insecure-Requests: 1\r\n"
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
		"Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nAccept-Language: en-GB,en;q=0.9\r\n"
		"Priority: u=0, i\r\nAccept-Encoding: gzip, deflate, br\r\n" COOKIES
		"Connection: keep-alive\r\n\r\n",
		12 },
	{ "iphone-fetch",
		"GET /cart/items.json?currency=EUR HTTP/1.1\r\nHost: shop.example.com\r\n"
		"Accept: */*\r\nSec-Fetch-Site: same-origin\r\nAccept-Language: de-DE,de;q=0.9\r\n"
		"Sec-Fetch-Mode: cors\r\nAccept-Encoding: gzip, deflate, br\r\n" IPHONE
		"Referer: https://shop.example.com/cart\r\nSec-Fetch-Dest: empty\r\n"
		"Cookie: cart=01JD4X8Z7M3N5P6Q9R2S4T6V8W; ab=17\r\nConnection: keep-alive\r\n\r\n",
		11 },
	{ "chrome-websocket",
		"GET /live?room=lobby HTTP/1.1\r\nHost: app.example.com:8443\r\nConnection: Upgrade\r\n"
		"Pragma: no-cache\r\nCache-Control: no-cache\r\n" CHROME
		"Upgrade: websocket\r\nOrigin: https://app.example.com:8443\r\n"
		"Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
		"Accept-Language: en-GB,en;q=0.9\r\n"
		"Cookie: session=9b74c9897bac770ffc029102a200c5de; locale=en-GB\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
		13 },
	{ "curl",
		"GET /health HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/8.14.1\r\n"
		"Accept: */*\r\n\r\n",
		3 },
};

#endif
