/** The gateway's /docs: its description of the calls, drawn by Swagger UI. */

import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";

SwaggerUI({ url: "openapi.json", dom_id: "#swagger", validatorUrl: null });
