/**
 * The reference application: users write posts. Its table of contents; each part is the file it is imported from.
 * It is written on "scale" alone and knows nothing of how many machines it runs on.
 */
import { app } from "scale";

import { login, logout, me, signup } from "./accounts.ts";
import { logoutDevice, logoutElsewhere, myDevices } from "./devices.ts";
import { myMails, sendWelcomeEmail } from "./mail.ts";
import page from "./page/index.html";
import { edit, newest, popular, publish, show } from "./posts.ts";
import { calculateFriendRecommendations, myRecommendations } from "./recommendations.ts";
import { postsOf, profile } from "./users.ts";
import { flushViews } from "./views.ts";

export default app({
  routes: {
    "/": page,

    "/signup": { POST: signup },
    "/login": { POST: login },
    "/logout": { POST: logout },
    "/me": { GET: me },
    "/me/devices": { GET: myDevices, DELETE: logoutElsewhere },
    "/me/devices/:id": { DELETE: (req) => logoutDevice(req.params.id) },
    "/me/mails": { GET: myMails },
    "/me/recommendations": { GET: myRecommendations },

    "/users/:id": { GET: (req) => profile(req.params.id) },
    "/users/:id/posts": { GET: (req) => postsOf(req.params.id) },

    "/posts": { GET: newest, POST: publish },
    "/posts/popular": { GET: popular },
    "/posts/:id": { GET: (req) => show(req.params.id), PUT: (req) => edit(req.params.id, req) },
  },
  jobs: [sendWelcomeEmail, calculateFriendRecommendations],
  migrations: "./migrations",
  onStop: flushViews,
});
